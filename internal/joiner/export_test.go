package joiner

// SetMost bounds how many actions are known at a time.
func (j *Joiner) SetMost(n int) { j.most = n }
