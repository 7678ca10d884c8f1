"""What the handlers share: the HTTP edge, the domain and the storage behind them."""

__version__ = "0.1.0"
