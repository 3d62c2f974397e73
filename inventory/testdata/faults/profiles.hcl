# Requirement profiles.
requirements = "runai-2021" # ERROR Invalid requirements: There is no profile "runai-2021". Did you mean "runai-2020"?

requirements "site" {
  extends = "runai-2020"
  kubernetes { version = ">= 1.x.y" } # ERROR Invalid version: ">= 1.x.y" is not a version constraint; write one such as ">= 1.15" or ">= 535.104, < 536".
  role "cpu" { min_disk = "50" } # ERROR Invalid min_disk: The size "50" has no unit; write "50GiB" for units of 1024, or "50GB" for units of 1000.
  endpoint "https://quay.io" {} # ERROR Invalid endpoint: "https://quay.io" is a URL; write host or host:port, such as quay.io or registry.example.com:5000.
  endpoint "nvcr.io" { phase = "boot" } # ERROR Invalid phase: "boot" is not among the possible values "install" and "run".
  driver { version = ">= 535" } # ERROR Unsupported block type: Blocks of type "driver" are not expected here. Did you mean "nvidia_driver"?
}
requirements "runai-2020" {} # ERROR Duplicate profile: The profile "runai-2020" is built in. Choose another name, and say extends = "runai-2020" to build on it.
requirements "site" {} # ERROR Duplicate profile: The profile "site" is declared a second time; the first is at profiles.hcl:4. Rename one.
requirements "a" { extends = "b" } # ERROR Cycle of profiles: The profiles extend each other in a circle: a → b → c → a. Let one of them extend a built-in profile.
requirements "b" { extends = "c" }
requirements "c" { extends = "a" }
requirements "d" { extends = "runai-2019" } # ERROR Invalid extends: There is no profile "runai-2019". Did you mean "runai-2.19"?
host "x" { requirements = "sitte" } # ERROR Invalid requirements: There is no profile "sitte". Did you mean "site"?
role "unused" { requirements = "runai-20200" } # ERROR Invalid requirements: There is no profile "runai-20200". Did you mean "runai-2020"?
