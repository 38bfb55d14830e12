package node

import "time"

// SetTurn is for tests in which no node is too slow, however slow this computer is.
func (nw *Network) SetTurn(turn time.Duration) { nw.turn = turn }
