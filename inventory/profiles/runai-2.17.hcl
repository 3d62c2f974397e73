# Requirements of Run:ai 2.17. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.17" {
  title  = "Run:ai 2.17 cluster requirements"
  source = "Collected from Run:ai documentation 2.17, Cluster system requirements"

  kubernetes {
    title   = "Kubernetes 1.27 to 1.29"
    version = ">= 1.27, < 1.30"
    text    = "Run:ai version v2.17; supported Kubernetes versions: 1.27 to 1.29."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.12 to 4.15"
    version = ">= 4.12, < 4.16"
    text    = "Run:ai version v2.17; supported OpenShift versions: 4.12 to 4.15."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 8
    min_memory = "16GB"
    min_disk   = "50GB"
    text       = "System node (CPU / memory / disk): 8 / 16 / 50."
    source     = "Collected from Run:ai documentation 2.17, Cluster prerequisites"
  }
}
