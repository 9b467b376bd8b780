"""Hybrid digital-analog coding: an image coder's picture as the base, its residual on analog symbols."""
