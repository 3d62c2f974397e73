# Requirements of NVIDIA Run:ai 2.25. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.25" {
  title  = "NVIDIA Run:ai 2.25 cluster requirements"
  source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Cluster System Requirements: https://run-ai-docs.nvidia.com/self-hosted/getting-started/installation/install-using-helm/system-requirements"

  kubernetes {
    title   = "Kubernetes 1.33 to 1.35"
    version = ">= 1.33, < 1.36"
    text    = "NVIDIA Run:ai version 2.25; supported Kubernetes versions: 1.33 to 1.35."
  }

  openshift {
    title   = "OpenShift 4.18 to 4.21"
    version = ">= 4.18, < 4.22"
    text    = "NVIDIA Run:ai version 2.25; supported OpenShift versions: 4.18 to 4.21."
  }

  gpu_operator {
    title   = "NVIDIA GPU Operator 25.10 to 26.3"
    version = ">= 25.10, < 26.4"
    text    = "The NVIDIA Run:ai cluster requires NVIDIA GPU Operator to be installed on the Kubernetes cluster. GPU Operator versions 25.10 to 26.3 are supported."
  }

  runtimes {
    title     = "container runtime"
    supported = ["containerd", "crio"]
    text      = "NVIDIA Run:ai supports the following container runtimes. Make sure your Kubernetes cluster is configured with one of these runtimes: Containerd (default in Kubernetes), CRI-O (default in OpenShift)."
  }

  shared_storage {
    title = "shared storage"
    text  = "NVIDIA Run:ai workloads must be able to access data from any worker node in a uniform way, to access training data and code as well as save checkpoints, weights, and other machine-learning-related artifacts. Typical protocols are Network File Storage (NFS) or Network-attached storage (NAS)."
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 10
    min_memory = "20GB"
    min_disk   = "50GB"
    text       = "This configuration is the minimum requirement you need to install and use NVIDIA Run:ai cluster. CPU: 10 cores; Memory: 20GB; Disk space: 50GB."
  }

  role "gpu" {
    title      = "GPU worker node"
    min_cpus   = 2
    min_memory = "4GB"
    text       = "The following configuration represents the minimum hardware requirements for installing and operating the NVIDIA Run:ai cluster on worker nodes. Each node must meet these specifications: CPU: 2 cores; Memory: 4GB."
  }

  role "cpu" {
    title      = "CPU worker node"
    min_cpus   = 2
    min_memory = "4GB"
    text       = "The following configuration represents the minimum hardware requirements for installing and operating the NVIDIA Run:ai cluster on worker nodes. Each node must meet these specifications: CPU: 2 cores; Memory: 4GB."
  }

  endpoint "app.run.ai:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Run:ai Platform"
    text   = "From 2.19: app.run.ai, grafana and runailabs.com from system nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "prometheus-us-central1.grafana.net:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Grafana"
    text   = "From 2.19: app.run.ai, grafana and runailabs.com from system nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "runailabs.com:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Grafana, runailabs.com"
    text   = "From 2.19: app.run.ai, grafana and runailabs.com from system nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "gcr.io:443" {
    phase  = "install"
    title  = "Google Container Registry"
    text   = "Google Container Registry; GPU Operator, and Knative image repository; source: All Kubernetes nodes; destination: gcr.io; port 443."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Network Requirements"
  }

  endpoint "registry.k8s.io:443" {
    phase  = "install"
    title  = "Kubernetes Registry"
    text   = "From 2.19: gcr.io, registry.k8s.io, quay.io, docker.io from all nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "quay.io:443" {
    phase  = "install"
    title  = "Red Hat Container Registry"
    text   = "Red Hat Container Registry; Prometheus Operator image repository; source: All Kubernetes nodes; destination: quay.io; port 443."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Network Requirements"
  }

  endpoint "docker.io:443" {
    phase  = "install"
    title  = "Docker Hub Registry"
    text   = "Docker Hub Registry; Training Operator image repository; source: All Kubernetes nodes; destination: docker.io; port 443."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Network Requirements"
  }

  endpoint "runai.jfrog.io:443" {
    phase  = "install"
    title  = "JFrog Artifactory"
    text   = "From 2.19: runai.jfrog.io."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "nvcr.io:443" {
    phase  = "install"
    title  = "NVIDIA Run:ai NGC Registry"
    text   = "NVIDIA Run:ai NGC Registry; Pull NVIDIA Run:ai images and Helm chart for installation; source: All Kubernetes nodes; destination: nvcr.io; port 443."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Network Requirements"
  }

  advice "gpus" {
    title = "GPUs"
    text  = "NVIDIA DGX Spark, NVIDIA Jetson and workstations are not supported. vGPU is not supported. NVIDIA Run:ai currently supports GPU passthrough only."
  }

  advice "multi-node-nvlink" {
    title = "Multi-Node NVLink"
    text  = "For Multi-Node NVLink support (e.g. GB200), Kubernetes 1.32 and above is required."
  }

  advice "time" {
    title  = "Network Time Protocol"
    text   = "Nodes are required to be synchronized by time using NTP (Network Time Protocol) for proper system functionality."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Control Plane System Requirements"
  }

  advice "internal-network" {
    title  = "Internal network"
    text   = "Ensure that all Kubernetes nodes can communicate with each other across all necessary ports. Kubernetes assumes full interconnectivity between nodes."
    source = "NVIDIA Run:ai documentation 2.25 (self-hosted), Network Requirements"
  }
}
