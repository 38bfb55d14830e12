package main

import (
	"strconv"

	"github.com/carekey/carekey/wallet/keyring/keyringtest"
	"github.com/rogpeppe/go-internal/testscript"
)

// manners are those that scripts know by a name.
var manners = map[string]keyringtest.Manners{
	"polite":     {},
	"mute":       {Mute: true},
	"locked":     {Locked: true},
	"answered":   {Locked: true, Prompt: keyringtest.Answered},
	"dismissed":  {Locked: true, Prompt: keyringtest.Dismissed},
	"ignored":    {Locked: true, Prompt: keyringtest.Ignored},
	"leaving":    {Locked: true, Prompt: keyringtest.Leaves},
	"forgetful":  {Forgets: true},
	"vanishing":  {Vanishes: true},
	"changed":    {Value: "something else"},
	"other-key":  {Value: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
	"talkative":  {Talkative: true},
	"asks-still": {Asks: true, Prompt: keyringtest.Ignored},
}

type serviceOf struct{ *keyringtest.Service }

// secretService: secretservice start gives a script a keyring of the system's kind,
// on a bus of its own; secretservice NAME sets its manners; items N counts what it
// holds, prompts N those that it put up, and secrets N those that it handed out,
// since the manners were set; forget removes all.
func secretService(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value(serviceKey{}).(*serviceOf)
	if args[0] == "start" {
		service, err := keyringtest.Start()
		ts.Check(err)
		ts.Defer(service.Stop)
		s.Service = service
		ts.Setenv("DBUS_SESSION_BUS_ADDRESS", s.Address)
		ts.Setenv("DISPLAY", ":77") // a desktop, as far as a keyring is concerned
		return
	}
	count := func(got int) {
		if want, err := strconv.Atoi(args[1]); err != nil || got != want {
			ts.Fatalf("%s: %d, want %s", args[0], got, args[1])
		}
	}
	switch args[0] {
	case "items":
		count(len(s.Items()))
	case "prompts":
		count(s.Counts().Prompts)
	case "secrets":
		count(s.Counts().Secrets)
	case "forget":
		s.Forget()
	default:
		m, ok := manners[args[0]]
		if !ok {
			ts.Fatalf("no such manners: %s", args[0])
		}
		s.Behave(m)
	}
}
