package lab

import (
	"crypto/sha256"
	"fmt"
)

// practiceImage is what the host with the old driver is to run: it requires a
// later one. There is no image of that name; its variables are as those of
// nvidia/cuda:12.2.0 and of NVIDIA's PyTorch.
const practiceImage = "nvcr.io/example/pytorch:23.10-cuda12.2"

// practiceImages are the documents of the registries outside: manifests by tag
// and digest, for two architectures, and configurations.
func practiceImages() map[string]string {
	documents := map[string]string{}
	const root = "nvcr.io/v2/example/pytorch/"
	add := func(kind, document string) (digest string) {
		digest = digestOf(document)
		documents[root+kind+"/"+digest] = document
		return digest
	}
	manifests := ""
	for _, architecture := range []string{"amd64", "arm64"} {
		config := add("blobs", `{"os":"linux","architecture":"`+architecture+`","config":{"Env":["PATH=/usr/local/cuda/bin:/usr/bin:/bin",`+
			`"CUDA_VERSION=12.2.2","NVIDIA_REQUIRE_CUDA=cuda>=12.2 brand=tesla,driver>=525,driver<526 brand=nvidia,driver>=525,driver<526",`+
			`"NVIDIA_VISIBLE_DEVICES=all","NVIDIA_DRIVER_CAPABILITIES=compute,utility","PYTORCH_VERSION=2.1.0"],"Labels":{"com.nvidia.pytorch.version":"2.1.0"}}}`)
		manifest := add("manifests", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+config+`"},"layers":[]}`)
		if manifests != "" {
			manifests += ","
		}
		manifests += `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + manifest + `","platform":{"os":"linux","architecture":"` + architecture + `"}}`
	}
	index := add("manifests", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[`+manifests+`]}`)
	documents[root+"manifests/23.10-cuda12.2"] = documents[root+"manifests/"+index]
	return documents
}

func digestOf(document string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(document)))
}
