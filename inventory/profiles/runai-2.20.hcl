# Requirements of Run:ai 2.20. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.20" {
  title  = "Run:ai 2.20 cluster requirements"
  source = "Run:ai documentation 2.20, Cluster system requirements (docs/admin/runai-setup/cluster-setup/cluster-prerequisites.md of github.com/run-ai/docs)"

  kubernetes {
    title   = "Kubernetes 1.29 to 1.32"
    version = ">= 1.29, < 1.33"
    text    = "Run:ai version v2.20; supported Kubernetes versions: 1.29 to 1.32."
  }

  openshift {
    title   = "OpenShift 4.14 to 4.17"
    version = ">= 4.14, < 4.18"
    text    = "Run:ai version v2.20; supported OpenShift versions: 4.14 to 4.17."
  }

  gpu_operator {
    title   = "NVIDIA GPU Operator 22.9 to 25.3"
    version = ">= 22.9, < 25.4"
    text    = "Run:ai Cluster requires NVIDIA GPU Operator to be installed on the Kubernetes Cluster, supports version 22.9 to 25.3."
  }

  runtimes {
    title     = "container runtime"
    supported = ["containerd", "crio"]
    text      = "Run:ai supports the following container runtimes: Containerd (default in Kubernetes), CRI-O (default in OpenShift). Ensure your Kubernetes cluster is configured with one of these runtimes."
  }

  shared_storage {
    title = "shared storage"
    text  = "Run:ai workloads must be able to access data from any worker node in a uniform way, to access training data and code as well as save checkpoints, weights, and other machine-learning-related artifacts. Typical protocols are Network File Storage (NFS) or Network-attached storage (NAS)."
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 10
    min_memory = "20GB"
    min_disk   = "50GB"
    text       = "This configuration is the minimum requirement you need to install and use Run:ai Cluster. CPU: 10 cores; Memory: 20GB; Disk space: 50GB."
  }

  role "gpu" {
    title      = "GPU worker node"
    min_cpus   = 2
    min_memory = "4GB"
    text       = "The following configuration represents the minimum hardware requirements for installing and operating the Run:ai cluster on worker nodes. Each node must meet these specifications: CPU: 2 cores; Memory: 4GB."
  }

  role "cpu" {
    title      = "CPU worker node"
    min_cpus   = 2
    min_memory = "4GB"
    text       = "The following configuration represents the minimum hardware requirements for installing and operating the Run:ai cluster on worker nodes. Each node must meet these specifications: CPU: 2 cores; Memory: 4GB."
  }

  endpoint "app.run.ai:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Run:ai Platform"
    text   = "Run:ai Platform; Run:ai cloud instance; source: Run:ai system nodes; destination: app.run.ai; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "prometheus-us-central1.grafana.net:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Grafana"
    text   = "Grafana; Run:ai cloud metrics store; source: Run:ai system nodes; destination: prometheus-us-central1.grafana.net and runailabs.com; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "runailabs.com:443" {
    phase  = "run"
    roles  = ["system"]
    title  = "Grafana, runailabs.com"
    text   = "Grafana; Run:ai cloud metrics store; source: Run:ai system nodes; destination: prometheus-us-central1.grafana.net and runailabs.com; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "gcr.io:443" {
    phase  = "install"
    title  = "Google Container Registry"
    text   = "Google Container Registry; Run:ai image repository; source: All K8S nodes; destination: gcr.io/run-ai-prod; port 443. GPU Operator, and Knative image repository; source: All K8S nodes; destination: gcr.io."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "registry.k8s.io:443" {
    phase  = "install"
    title  = "Kubernetes Registry"
    text   = "Kubernetes Registry; Ingress Nginx image repository; source: All K8S nodes; destination: registry.k8s.io; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "quay.io:443" {
    phase  = "install"
    title  = "Red Hat Container Registry"
    text   = "Red Hat Container Registry; Prometheus Operator image repository; source: All K8S nodes; destination: quay.io; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "docker.io:443" {
    phase  = "install"
    title  = "Docker Hub Registry"
    text   = "Docker Hub Registry; Training Operator image repository; source: All K8S nodes; destination: docker.io; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  endpoint "runai.jfrog.io:443" {
    phase  = "install"
    title  = "JFrog Artifactory"
    text   = "JFrog Artifactory; Run:ai Helm repository; source: Helm client machine; destination: runai.jfrog.io; port 443."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }

  advice "time" {
    title  = "Network Time Protocol"
    text   = "Nodes are required to be synchronized by time using NTP (Network Time Protocol) for proper system functionality."
    source = "Run:ai documentation 2.20, Control Plane System Requirements"
  }

  advice "internal-network" {
    title  = "Internal network"
    text   = "Ensure that all Kubernetes nodes can communicate with each other across all necessary ports. Kubernetes assumes full interconnectivity between nodes."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }
}
