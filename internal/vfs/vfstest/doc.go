// Package vfstest has the file systems that tests of a store run on.
//
// [Mem] keeps files in memory and knows what was synced. [Mem.CrashClone] is
// what a machine could find after a power loss; a nil source of randomness
// gives the worst case, a seeded one the many that lie between:
//
//	disk := vfstest.NewMem()
//	store := open(disk)
//	store.append(batch)
//	after := disk.CrashClone(rand.New(rand.NewPCG(seed, 0)))
//	// open(after) must find everything that was acknowledged
//
// [Inject] lets chosen operations of another file system fail, before or after
// they were done. Failing each in turn finds the step that a program does not
// recover from:
//
//	for n := 0; ; n++ {
//		plan := vfstest.OnNth(n, vfstest.FailAfter)
//		err := run(vfstest.Inject(disk, plan.Decide))
//		if !plan.Hit() {
//			break // the program has no n-th operation
//		}
//		// err must not be nil, and disk must hold nothing half done
//	}
package vfstest
