"""The tiny vision-language base model of the micro world."""
