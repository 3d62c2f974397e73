# Requirements of NVIDIA Run:ai 2.24. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.24" {
  title  = "NVIDIA Run:ai 2.24 cluster requirements"
  source = "Collected from NVIDIA Run:ai documentation 2.24, Cluster system requirements"

  kubernetes {
    title   = "Kubernetes 1.33 to 1.35"
    version = ">= 1.33, < 1.36"
    text    = "NVIDIA Run:ai version 2.24; supported Kubernetes versions: 1.33 to 1.35."
    source  = "NVIDIA Run:ai documentation 2.25 (self-hosted), Cluster System Requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.17 to 4.20"
    version = ">= 4.17, < 4.21"
    text    = "NVIDIA Run:ai version 2.24; supported OpenShift versions: 4.17 to 4.20."
    source  = "NVIDIA Run:ai documentation 2.25 (self-hosted), Cluster System Requirements, Kubernetes version support matrix"
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
