"""Differences as text: verdict sentences and formatted numbers."""
