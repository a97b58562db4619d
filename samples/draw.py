# Draws four images, writes them to a sheet, and prints the bits/dim of each.
import combiner

model = combiner.load("cifar10", precision="f32")
images = model.sample(4, seed=1, temperature=0.85)  # uint8 [4, 32, 32, 3]
combiner.sheet(images).save("sheet.png")
print(model.bits_per_dim(images).round(3))
