"""`prediction: edm`: the network's input and target have variance one at every noise level.

Source: Karras et al., arXiv:2206.00364, Table 1 (last column) and appendix B.6. In the terms of this code y = z / alpha
is their noisy crystal, s = sigma / alpha = exp(-log_snr / 2) their noise. With m = sqrt(sigma^2 + (alpha sigma_data)^2)
their c_in * y is z / m, c_skip * y is (alpha sigma_data^2 / m^2) z, and c_out is sigma sigma_data / m, none of which
overflows at either end of the schedule. Their loss weight 1 / c_out^2 makes the error of the network's own output count
alike at every level. Their c_noise, ln(s) / 4, is -log_snr / 8: the network is told log_snr as ever. At sigma_data = 1
the output is -v of `prediction: v`, and z is scaled by one.
"""

import dataclasses

import jax
import jax.numpy as jnp

from unimat.model.noise.schedule import along, alpha_sigma
from unimat.model.representation.tensors import State


@dataclasses.dataclass(frozen=True)
class Edm:
    """The form of prediction.

    Attributes:
        coords, lattice: sigma_data, the root mean square of each part of the state in the data.
    """

    coords: float = 0.5
    lattice: float = 1.0

    def network_input(self, noisy: State, log_snr: jax.Array) -> State:
        """The noisy state at variance one."""
        return {name: z / self._factors(name, log_snr, z)[2] for name, z in noisy.items()}

    def target(self, x0: State, noise: State, log_snr: jax.Array) -> State:
        """What the network should predict, (x0 - c_skip * y) / c_out."""

        def of(name: str) -> jax.Array:
            alpha, sigma, m = self._factors(name, log_snr, x0[name])
            data = getattr(self, name)
            return (sigma / data * x0[name] - alpha * data * noise[name]) / m

        return {name: of(name) for name in x0}

    def to_x0(self, predicted: State, noisy: State, log_snr: jax.Array) -> State:
        """c_skip * y + c_out * prediction."""

        def of(name: str) -> jax.Array:
            alpha, sigma, m = self._factors(name, log_snr, noisy[name])
            data = getattr(self, name)
            return alpha * data**2 / m**2 * noisy[name] + sigma * data / m * predicted[name]

        return {name: of(name) for name in noisy}

    def log_weight(self, name: str, log_snr: jax.Array) -> jax.Array:
        """ln(1 / c_out^2): the squared error of the output is so many times that of x0."""
        return jnp.logaddexp(log_snr, -2.0 * jnp.log(jnp.float32(getattr(self, name))))

    def _factors(self, name: str, log_snr: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        alpha, sigma = alpha_sigma(log_snr)
        m = jnp.sqrt(sigma**2 + (alpha * getattr(self, name)) ** 2)
        return along(alpha, x), along(sigma, x), along(m, x)
