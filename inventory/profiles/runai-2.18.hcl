# Requirements of Run:ai 2.18. `text` is the sentence, or the row of the table, of the
# source; where its own words were not kept, `source` begins with Collected, and `text` is
# the line that was collected. What was not seen is not here.

requirements "runai-2.18" {
  title  = "Run:ai 2.18 cluster requirements"
  source = "Run:ai documentation 2.18, Cluster system requirements (docs/admin/runai-setup/cluster-setup/cluster-prerequisites.md of github.com/run-ai/docs)"

  kubernetes {
    title   = "Kubernetes 1.28 to 1.30"
    version = ">= 1.28, < 1.31"
    text    = "Run:ai version v2.18; supported Kubernetes versions: 1.28 to 1.30."
  }

  openshift {
    title   = "OpenShift 4.12 to 4.16"
    version = ">= 4.12, < 4.17"
    text    = "Run:ai version v2.18; supported OpenShift versions: 4.12 to 4.16."
  }

  gpu_operator {
    title   = "NVIDIA GPU Operator 22.9 to 23.9"
    version = ">= 22.9, < 23.10"
    text    = "Run:ai Cluster requires NVIDIA GPU Operator to be installed on the Kubernetes Cluster, supports version 22.9 to 23.9"
  }

  shared_storage {
    title = "shared storage"
    text  = "Run:ai workloads must be able to access data from any worker node in a uniform way, to access training data and code as well as save checkpoints, weights, and other machine-learning-related artifacts. Typical protocols are Network File Storage (NFS) or Network-attached storage (NAS)."
  }

  role "system" {
    title      = "system node"
    stand_in   = "cpu"
    min_cpus   = 8
    min_memory = "16GB"
    min_disk   = "50GB"
    text       = "This configuration is the minimum requirement you need to install and use Run:ai Cluster. CPU: 8 cores; Memory: 16GB; Disk space: 50GB."
  }
}
