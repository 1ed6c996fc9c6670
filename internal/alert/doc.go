// Package alert tells people when something happens that they want to know of at once.
//
// There are two kinds of alerts. Those of rules come from what is recorded: the trails
// are followed, each from the place that is kept on the disk, so that a restart neither
// misses nor repeats one. Those of the operation come from the server itself, such as
// that a trail cannot be written. They take another path than the trails: nothing of
// them has to be written anywhere before they are sent.
//
// Both go to webhooks, as https://www.standardwebhooks.com says: signed, tried again
// until they are taken, and with an id that stays the same, since one may come twice.
//
//	DIR/alerts/state/TRAIL.json        how far the rules have come in a trail
//	DIR/alerts/queue/ID.WEBHOOK.json   what is to be delivered
//
// Both can be removed while the server does not run. Then rules begin at the end of
// each trail, and what waited is not delivered.
package alert
