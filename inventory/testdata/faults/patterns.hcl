# Host patterns.
host "a-[01:16" {} # ERROR Invalid host pattern: The pattern "a-[01:16" has a [ that is not closed; write a range like gpu-[01:16] or a list like rack-[a,b].
host "b-01:16]" {} # ERROR Invalid host pattern: The pattern "b-01:16]" has a ] without a [; write a range like gpu-[01:16] or a list like rack-[a,b].
host "c-[16:01]" {} # ERROR Invalid host pattern: The range [16:01] runs backwards; put the smaller number first.
host "d-[1:9:0]" {} # ERROR Invalid host pattern: The range [1:9:0] has the step 0; use a step of 1 or more.
host "e-[1:9:2:3]" {} # ERROR Invalid host pattern: The range [1:9:2:3] has too many colons; write [first:last] or [first:last:step].
host "f-[a:c]" {} # ERROR Invalid host pattern: The range [a:c] does not consist of numbers of at most nine digits; write a range like [01:16], or list words as [a,b,c].
host "g-[,a]" {} # ERROR Invalid host pattern: A bracket holds an empty word; write a range like [01:16] or a list like [a,b].
host "h-[01:0016]" {} # ERROR Invalid host pattern: The range [01:0016] pads its ends with different numbers of zeros; write both ends with the same number of digits.
host "i-[1:999999999]" {} # ERROR Invalid host pattern: The pattern "i-[1:999999999]" stands for more than 100000 hosts, the most that an inventory may hold; split the fleet into several inventories.
host "j-[1:1000]-[1:1000]" {} # ERROR Invalid host pattern: The pattern "j-[1:1000]-[1:1000]" stands for more than 100000 hosts, the most that an inventory may hold; split the fleet into several inventories.
host "k-[1:99999999999]" {} # ERROR Invalid host pattern: The range [1:99999999999] does not consist of numbers of at most nine digits; write a range like [01:16], or list words as [a,b,c].
host "l-[a b]" {} # ERROR Invalid host name: "l-a b" is not a valid name; use letters, digits, '.', '-' and '_', with a letter or digit at both ends.
host "m-[01:16]" { address = "10.0.1.1" } # ERROR Two hosts at one address: The hosts "m-01" and "m-02" (patterns.hcl:14) both have the address 10.0.1.1, port 22. Use index, label or name in the address.
host "n-[01:16]" { address = "10.0.2.${index}" }
host "n-[10:20]" { address = "10.0.3.${index}" } # ERROR Duplicate host: The block at patterns.hcl:15 declares n-[10:16] already. Give each host one block.
host "o-[01:16]" { address = "10.0.4.300" } # ERROR Invalid address: "10.0.4.300" is not an IP address; write four numbers up to 255, such as 10.0.1.5.
host "[x,-]" {} # ERROR Invalid host name: "-" is not a valid name; use letters, digits, '.', '-' and '_', with a letter or digit at both ends.
host "p-[1:1000]" { address = "10.0.5.${index}" } # ERROR Invalid address: "10.0.5.256" is not an IP address; write four numbers up to 255, such as 10.0.1.5. # ERROR Invalid address: "10.0.5.257" is not an IP address; write four numbers up to 255, such as 10.0.1.5. # ERROR Invalid address: "10.0.5.258" is not an IP address; write four numbers up to 255, such as 10.0.1.5. # ERROR Invalid address: "10.0.5.259" is not an IP address; write four numbers up to 255, such as 10.0.1.5. # ERROR Invalid address: "10.0.5.260" is not an IP address; write four numbers up to 255, such as 10.0.1.5. Further faults of this kind in this place are not shown.
host "q-[a,b]" { address = "10.0.6.${label}" }
host "r" { address = "${name}.${label}" } # ERROR Unknown name: There is no "label" here. Write var.NAME or local.NAME, or put text in quotes. Known are "local", "var" and "name".
host "s-[1:3]" {
  role   = "role-${index}" # ERROR Invalid role: There is no role "role-1"; add role "role-1" { … }, or use a known one. Known are "cpu", "gpu", "proxy" and "system". # ERROR Invalid role: There is no role "role-2"; add role "role-2" { … }, or use a known one. Known are "cpu", "gpu", "proxy" and "system". # ERROR Invalid role: There is no role "role-3"; add role "role-3" { … }, or use a known one. Known are "cpu", "gpu", "proxy" and "system".
  groups = ["group-${label}"] # ERROR Invalid groups: No block declares the group "group-1"; add group "group-1" { … }. # ERROR Invalid groups: No block declares the group "group-2"; add group "group-2" { … }. # ERROR Invalid groups: No block declares the group "group-3"; add group "group-3" { … }.
  ssh { port = 65533 + index } # ERROR Invalid port: 65536 is out of range; use a whole number from 1 to 65535.
  nfs_mount "/mnt/data" {
    server = "nas${index}"
    export = "data${index}" # ERROR Invalid export: "data1" is not an absolute path; begin it with /. # ERROR Invalid export: "data2" is not an absolute path; begin it with /. # ERROR Invalid export: "data3" is not an absolute path; begin it with /.
  }
}
