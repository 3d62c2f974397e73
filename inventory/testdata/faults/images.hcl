# Images are named as container runtimes name them, each once, and without a login.
images = ["nvcr.io/nvidia/pytorch:24.01-py3", "nvcr.io/nvidia/pytorch:24.01-py3", "pytorch/pytorch", "docker.io/pytorch/pytorch:latest", "https://nvcr.io/nvidia/pytorch"] # ERROR Duplicate in images: This stands in the list a second time. Remove it. # ERROR Invalid images: "docker.io/pytorch/pytorch:latest" is the same image as "pytorch/pytorch", which stands in the list already; remove one. # ERROR Invalid images: "https://nvcr.io/nvidia/pytorch" is a URL; write the image as container runtimes take it, such as nvcr.io/nvidia/pytorch:24.01-py3.
role "a" {
  images = ["nvcr.io/nvidia/py torch", "", "NVCR.io/NVIDIA/pytorch:24.01", "ubuntu:", "ubuntu@sha256:abc", "ubuntu:a/b", "registry:99999/a", "/a", 3, "a//b"] # ERROR Invalid images: "nvcr.io/nvidia/py torch" holds a blank; remove it. # ERROR Invalid images: The value is empty; set it, or leave the attribute out. # ERROR Invalid images: "NVCR.io/NVIDIA/pytorch:24.01" holds capitals, which names of images may not; write "nvidia/pytorch". # ERROR Invalid images: "" is not a tag; use up to 128 letters, digits, '.', '-' and '_', beginning with a letter, a digit or '_'. # ERROR Invalid images: "sha256:abc" is not a digest; write sha256: and 64 digits of 0-9 and a-f. # ERROR Invalid images: The registry of "ubuntu:a/b": "a" is not a port; use a number from 1 to 65535. # ERROR Invalid images: The registry of "registry:99999/a": "99999" is not a port; use a number from 1 to 65535. # ERROR Invalid images: "/a" is not an image; write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:…, such as nvcr.io/nvidia/pytorch:24.01-py3. # ERROR Invalid images: "a//b" is not an image; write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:…, such as nvcr.io/nvidia/pytorch:24.01-py3.
}
role "b" {
  images = "me:canary@registry.corp.example/ai/train" # ERROR Invalid images: The image holds a login, which plans and results would show; write it without: a registry is asked as anybody may ask it.
}
role "c" {
  images = ["me@registry.corp.example/ai/train", ["ubuntu"], "ubuntu:24.04\n"] # ERROR Invalid images: The image holds a login, which plans and results would show; write it without: a registry is asked as anybody may ask it. # ERROR Invalid images: A list of strings is needed here. # ERROR Invalid images: The value holds the control character U+000A; remove it.
}
host "h" {
  images = "ubuntu:${name}/x" # ERROR Invalid images: The registry of "ubuntu:h/x": "h" is not a port; use a number from 1 to 65535.
}
