# Requirements of Run:ai 2.13. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.13" {
  title  = "Run:ai 2.13 cluster requirements"
  source = "Run:ai documentation 2.13, Cluster prerequisites: https://docs.run.ai/v2.13/admin/runai-setup/cluster-setup/cluster-prerequisites/"

  kubernetes {
    title   = "Kubernetes 1.23 to 1.28"
    version = ">= 1.23, < 1.29"
    text    = "Run:ai version v2.13; supported Kubernetes versions: 1.23 to 1.28."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  openshift {
    title   = "OpenShift 4.10 to 4.13"
    version = ">= 4.10, < 4.14"
    text    = "Run:ai version v2.13; supported OpenShift versions: 4.10 to 4.13."
    source  = "Run:ai documentation 2.20, Cluster system requirements, Kubernetes version support matrix"
  }

  gpu_operator {
    title = "NVIDIA GPU Operator"
    text  = "NVIDIA GPU Operator: Different Kubernetes flavors have slightly different setup instructions. Verify correct version."
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 8
    min_memory = "16GB"
    min_disk   = "50GB"
    text       = "System node (CPU / memory / disk): 8 / 16 / 50."
    source     = "Collected from Run:ai documentation 2.13, Cluster prerequisites"
  }
}
