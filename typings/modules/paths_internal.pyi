models_path: str
extensions_dir: str
