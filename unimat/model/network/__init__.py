"""The 3D U-Net over (L, H, W) and its parts."""
