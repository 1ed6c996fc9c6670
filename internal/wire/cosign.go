package wire

import "github.com/custodylog/custody"

// Cosigned is what became of asking witnesses to cosign a checkpoint.
type Cosigned struct {
	Size      uint64          `json:"size" doc:"Entries that the checkpoint covers"`
	Quorum    bool            `json:"quorum" doc:"The policy's quorum has cosigned it"`
	Witnesses []WitnessAnswer `json:"witnesses" doc:"Those that were asked, in the order of the policy"`
}

// WitnessAnswer is what became of asking one witness.
type WitnessAnswer struct {
	Name     string `json:"name" doc:"In the policy"`
	Cosigned bool   `json:"cosigned"`
	Error    string `json:"error,omitempty" doc:"Why not, for people"`
}

// CosignedOf returns the JSON of what became of asking witnesses.
func CosignedOf(r *custody.CosignResult) Cosigned {
	j := Cosigned{Size: r.Size, Quorum: r.Quorum, Witnesses: []WitnessAnswer{}}
	for _, w := range r.Witnesses {
		one := WitnessAnswer{Name: w.Name, Cosigned: w.Err == nil}
		if w.Err != nil {
			one.Error = w.Err.Error()
		}
		j.Witnesses = append(j.Witnesses, one)
	}
	return j
}
