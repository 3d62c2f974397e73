# Requirements of Run:ai 2.16. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.16" {
  title  = "Run:ai 2.16 cluster requirements"
  source = "Collected from Run:ai documentation 2.16, Cluster system requirements"

  kubernetes {
    title   = "Kubernetes 1.26 to 1.28"
    version = ">= 1.26, < 1.29"
    text    = "Run:ai version v2.16; supported Kubernetes versions: 1.26 to 1.28."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.11 to 4.14"
    version = ">= 4.11, < 4.15"
    text    = "Run:ai version v2.16; supported OpenShift versions: 4.11 to 4.14."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 8
    min_memory = "16GB"
    min_disk   = "50GB"
    text       = "System node (CPU / memory / disk): 8 / 16 / 50."
    source     = "Collected from Run:ai documentation 2.16, Cluster prerequisites"
  }
}
