//go:build linux

package e2e

import _ "embed"

var (
	//go:embed recipes/zypper-tools.sh
	zypperToolsRecipe string
	//go:embed recipes/sles.sh
	slesRecipe string
)

var (
	zypperTools = layer("zypper-tools", zypperToolsRecipe, tools, kernel, base)
	sles        = layerWith("sles", slesRecipe, rpms, zypperTools, tools, kernel, base)
)

// slesHost makes a host one of SLES 15's kind, with a GPU and what stands in for
// its kernel, see gpuHost.
func slesHost() Option {
	return func(o *options) {
		gpuHost(gpuWithTools)(o)
		o.layers = append(o.layers, sles, zypperTools)
		o.setup = append(o.setup, noApt)
	}
}
