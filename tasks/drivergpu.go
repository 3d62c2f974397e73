package tasks

// lookUpGPU tells name and generation of a PCI device id; both are empty where
// the table does not have it.
func lookUpGPU(device string) (name, generation string) { return "", "" }
