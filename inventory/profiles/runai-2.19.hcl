# Requirements of Run:ai 2.19. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here: the GPU Operator's versions, and the
# least of a worker node.

requirements "runai-2.19" {
  title  = "Run:ai 2.19 cluster requirements"
  source = "Collected from Run:ai documentation 2.19, Cluster system requirements"

  kubernetes {
    title   = "Kubernetes 1.28 to 1.31"
    version = ">= 1.28, < 1.32"
    text    = "Run:ai version v2.19; supported Kubernetes versions: 1.28 to 1.31."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.12 to 4.17"
    version = ">= 4.12, < 4.18"
    text    = "Run:ai version v2.19; supported OpenShift versions: 4.12 to 4.17."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 8
    min_memory = "16GB"
    min_disk   = "50GB"
    text       = "System node (CPU / memory / disk): 8 / 16 / 50."
    source     = "Collected from Run:ai documentation 2.19, Cluster prerequisites"
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

  advice "internal-network" {
    title  = "Internal network"
    text   = "Ensure that all Kubernetes nodes can communicate with each other across all necessary ports. Kubernetes assumes full interconnectivity between nodes."
    source = "Run:ai documentation, Network requirements (docs/admin/runai-setup/cluster-setup/network-req.md of github.com/run-ai/docs)"
  }
}
