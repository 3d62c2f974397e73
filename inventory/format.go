package inventory

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format lays src out as `terraform fmt` does: aligned, two blanks a level,
// nothing else changed. Source that does not parse is returned as it is, with
// the diagnostics; filename is for these. The files serve to print them with
// WriteDiagnostics: passwords are blanked there.
func Format(src []byte, filename string) (formatted []byte, files map[string]*hcl.File, diags hcl.Diagnostics) {
	var s secrets
	f := faults{mask: s.mask, conceal: s.conceal}
	file, diags := s.parse(src, filename)
	f.add(diags...)
	files = map[string]*hcl.File{filename: file}
	s.blank(files)
	if f.failed() {
		return src, files, f.sorted()
	}
	return hclwrite.Format(src), files, f.sorted()
}
