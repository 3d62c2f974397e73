# One site, and how the NVIDIA driver is kept on each kind of its hosts.
#
#   runai-prep plan drivers.hcl --task driver
#   runai-prep apply drivers.hcl --task driver --canary 1 --batch 10%

ssh { user = "ops" }

# What all GPU hosts share: the branch, from the distribution's own repository,
# and nobody else's upgrade of it.
role "gpu" {
  nvidia_driver {
    version = ">= 535.104, < 536"
    hold    = true
  }
}

# Training runs for days: an apply waits for its end, half an hour at most, and
# leaves the host as it is after that (exit code 2). A driver that does not come
# up is taken back.
group "training" {
  nvidia_driver {
    busy     = "wait=30m"
    rollback = true
  }
}

# Inference can move: the node is drained with the kubeconfig of this machine,
# and given back once the new driver is proved.
group "inference" {
  nvidia_driver {
    busy           = "drain"
    fractional_gpu = true
  }
  # What these GPUs are shared by: it has to run with the driver.
  images = ["nvcr.io/nvidia/pytorch:24.01-py3", "tensorflow/tensorflow:2.15.0-gpu"]
}

# Nobody restarts these but their own team: what needs a reboot stays pending.
group "shared" {
  nvidia_driver { reboot = "never" }
}

# The GPU Operator keeps the driver of these: it is measured, and left alone.
group "operator" {
  nvidia_driver { source = "none" }
}

host "train-[01:08]" {
  address = "10.30.1.${index}"
  role    = "gpu"
  groups  = ["training"]
}

host "infer-[01:04]" {
  address = "10.30.2.${index}"
  role    = "gpu"
  groups  = ["inference"]
}

host "lab-[1:2]" {
  address = "10.30.3.${index}"
  role    = "gpu"
  groups  = ["shared"]
}

host "op-[1:2]" {
  address = "10.30.4.${index}"
  role    = "gpu"
  groups  = ["operator"]
}

# A golden image is made where there is no GPU: the driver is installed for the
# machines that will start from it. NVIDIA's repository has the newer branch.
host "image" {
  address = "10.30.9.1"
  role    = "gpu"

  nvidia_driver {
    version     = ">= 570, < 571"
    source      = "cuda-repo"
    flavor      = "open"
    require_gpu = false
  }
}
