package wallet_test

func scenario(d district) error         { return nil }
func busy(d district, arg string) error { return nil }
