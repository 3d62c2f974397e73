# Findings that are ignored: named as reports name them, and with a reason.
ignore = { "kubernetes/swap" = "batch nodes swap, OPS-4711", "kubernets/swap" = "a slip", "egress" = "all of it", "nfs/*" = "", "nfs//mnt/data" = 3 } # ERROR Invalid ignore: There is no task "kubernets"; an ignored finding is written as reports name it, such as "kubernetes/swap". Did you mean "kubernetes"? # ERROR Invalid ignore: "egress" names a task alone; name the finding as well, such as "egress/SUBJECT", or say "egress/*" for all that it finds. # ERROR Invalid ignore: The reason is empty; say why this may be ignored, for whoever reads the report. # ERROR Invalid ignore: The reason has to be a text. Write { "nfs//mnt/data" = "why this may be ignored" }.
role "a" {
  ignore = ["kubernetes/swap"] # ERROR Ignore without reason: Whoever reads the report has to know why this may be ignored. Add ignore_reason = "…", or write ignore = { "kubernetes/swap" = "…" }.
}
role "b" {
  ignore_reason = "of nothing" # ERROR Reason without ignore: A reason is given, but nothing is ignored here. Add ignore = ["TASK/SUBJECT"], or remove the reason.
}
role "c" {
  ignore        = { "resources/cpus" = "small machines" }
  ignore_reason = "twice" # ERROR Two ways to give a reason: Each entry of this ignore has its reason already. Remove ignore_reason.
}
role "d" {
  ignore        = ["resources/cpus", "resources/cpus", "driver/"] # ERROR Duplicate in ignore: This stands in the list a second time. Remove it. # ERROR Invalid ignore: "driver/" names a task alone; name the finding as well, such as "driver/SUBJECT", or say "driver/*" for all that it finds.
  ignore_reason = "two\nlines" # ERROR Invalid ignore_reason: The value holds the control character U+000A; remove it.
}
role "e" {
  ignore = { "resources/cpus" = "once", "resources/cpus" = "and again" } # ERROR Duplicate in ignore: This stands here a second time. Keep one.
}
host "h" {
  ignore = "kubernetes/${name}" # ERROR Ignore without reason: Whoever reads the report has to know why this may be ignored. Add ignore_reason = "…", or write ignore = { "kubernetes/h" = "…" }.
}
