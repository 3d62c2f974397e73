# Requirements of NVIDIA Run:ai 2.22. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.22" {
  title  = "NVIDIA Run:ai 2.22 cluster requirements"
  source = "Collected from NVIDIA Run:ai documentation 2.22, Cluster system requirements"

  kubernetes {
    title   = "Kubernetes 1.31 to 1.33"
    version = ">= 1.31, < 1.34"
    text    = "NVIDIA Run:ai version 2.22; supported Kubernetes versions: 1.31 to 1.33."
    source  = "NVIDIA Run:ai documentation 2.25 (self-hosted), Cluster System Requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.15 to 4.19"
    version = ">= 4.15, < 4.20"
    text    = "NVIDIA Run:ai version 2.22; supported OpenShift versions: 4.15 to 4.19."
    source  = "NVIDIA Run:ai documentation 2.25 (self-hosted), Cluster System Requirements, Kubernetes version support matrix"
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 10
    min_memory = "20GB"
    min_disk   = "50GB"
    text       = "System node (CPU / memory / disk): 10 / 20 / 50."
    source     = "Collected from NVIDIA Run:ai documentation 2.22, Cluster prerequisites"
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
    text   = "From 2.19: gcr.io, registry.k8s.io, quay.io, docker.io from all nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
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
    text   = "From 2.19: gcr.io, registry.k8s.io, quay.io, docker.io from all nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "docker.io:443" {
    phase  = "install"
    title  = "Docker Hub Registry"
    text   = "From 2.19: gcr.io, registry.k8s.io, quay.io, docker.io from all nodes."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }

  endpoint "runai.jfrog.io:443" {
    phase  = "install"
    title  = "JFrog Artifactory"
    text   = "From 2.19: runai.jfrog.io."
    source = "Collected from Run:ai's documentation, Network requirements, 'from 2.19'"
  }
}
