# Every row of "Prerequisites of a cluster installed with Run:AI", June 2020.
# `text` is the sentence of the document that asks for a value.

requirements "runai-2020" {
  title  = "Run:AI cluster prerequisites, June 2020"
  source = "Run:AI documentation, Cluster prerequisites (June 2020)"

  kubernetes {
    title       = "Kubernetes 1.15 or above"
    version     = ">= 1.15"
    recommended = "1.17"
    text        = "Run:AI requires Kubernetes 1.15 or above. Kubernetes 1.17 is recommended (as of June 2020)."
  }

  openshift {
    title   = "OpenShift 4.3 or above"
    version = ">= 4.3"
    text    = "If you are using Red Hat OpenShift. The minimal version is OpenShift 4.3 which runs on Kubernetes 1.16."
  }

  nvidia_driver {
    title   = "NVIDIA driver 384.81 or later"
    version = ">= 384.81"
    text    = "Run:AI requires all GPU nodes to be installed with NVIDIA driver version 384.81 or later due to this dependency: https://github.com/NVIDIA/k8s-device-plugin#prerequisites"
  }

  fractional_gpu {
    title      = "fractional GPU"
    driver     = ">= 410.104"
    cuda       = ">= 9.0"
    frameworks = ["TensorFlow", "Keras", "PyTorch"]
    text       = "This technology has more stringent software requirements than the rest of the Run:AI system. Specifically, virtualization has been tested on: NVIDIA device driver 410.104 or later; CUDA 9.0 or later; TensorFlow, Keras or PyTorch."
  }

  shared_storage {
    title = "Shared data volume"
    text  = "Researcher containers need to be able to access data from any machine in a uniform way, and the Run:AI system needs to save data on a storage device that is not dependent on a specific node. Typically, this is achieved via Network File Storage (NFS) or Network-attached storage (NAS). NFS is usually the preferred method for Researchers which may require multi-read/write capabilities."
  }

  role "cpu" {
    title       = "dedicated CPU-only worker"
    recommended = true
    min_cpus    = 4
    min_memory  = "4GB"
    min_disk    = "20GB"
    text        = "To save on expensive GPUs-based hardware, we recommend (though not a must), a dedicated, CPU-only worker machine. Run:AI requires the following resources: 4 CPUs, 4GB of RAM, at least 20GB of Disk space."
  }

  endpoint "runai-charts.storage.googleapis.com:443" {
    phase = "install"
    title = "Run:AI Repository"
    text  = "The Run:AI Package Repository is hosted on Run:AI's account on Google Cloud."
  }

  endpoint "hub.docker.com:443" {
    phase = "install"
    title = "Docker Images Repository"
    text  = "Various Run:AI images."
  }

  endpoint "gcr.io/run-ai-prod" { # port 443; a firewall sees the host alone
    phase = "install"
    title = "Docker Images Repository"
    text  = "Various Run:AI images."
  }

  endpoint "quay.io:443" {
    phase = "install"
    title = "Docker Images Repository"
    text  = "Various third party Images."
  }

  endpoint "prometheus-us-central1.grafana.net:443" {
    phase = "run"
    title = "Grafana"
    text  = "Grafana Metrics Server. Once running, Run:AI will send metrics to two sources."
  }

  endpoint "app.run.ai:443" {
    phase = "run"
    title = "Run:AI"
    text  = "Run:AI Cloud instance. All container nodes must be able to connect to the Run:AI cloud."
  }

  advice "registry" {
    title = "Docker registry"
    text  = "For container images to run on any machine, these images must be downloaded from a docker registry rather than reside on the local machine. You can use a public registry such as docker hub or set up a local registry on-premise."
  }

  advice "images" {
    title = "Usage of containers and images"
    text  = "The individual researcher's work is based on container images. Containers allow IT to create standard software environments based on mix and match of various cutting-edge software."
  }

  advice "inbound" {
    title = "No inbound connectivity"
    text  = "Inbound connectivity (connecting from the cloud into nodes) is not required."
  }
}
