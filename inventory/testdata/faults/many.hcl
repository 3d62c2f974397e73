# Two patterns that are within bounds alone.
host "a-[1:60000]" {}
host "b-[1:60000]" {} # ERROR Too many hosts: With "b-[1:60000]" the inventory has 120000 hosts, more than the 100000 that one may hold. Split the fleet into several inventories.
