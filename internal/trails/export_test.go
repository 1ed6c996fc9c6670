package trails

// Look is Gone, of this moment.
func (t *Trail) Look() error { return t.look() }
