"""What the handlers share: the HTTP edge, the domain and the storage behind them."""
