package wallet_test

func busy(d district, arg string) error { return nil }
