"""The Python package on torch's tensors, or where there is no torch on those of fake_torch: taken where they are."""
import os
import sys
import unittest
import unittest.mock

import numpy as np

try:
    import torch
except ImportError:
    import fake_torch as torch

    sys.modules["torch"] = torch

import lacuna
from test_lacuna import SEED, WINDOW, reference


def setUpModule():
    print(f"LACUNA_SEED={SEED}, torch {getattr(torch, '__version__', 'is not installed: a stand-in')}")


def bfloat16(array):
    """The tensor and what it holds; numpy has no such type, so it is made of the upper halves of floats."""
    bits = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    held = (bits.astype(np.uint32) << 16).view(np.float32)
    if hasattr(torch, "frombuffer"):
        return torch.from_numpy(held).to(torch.bfloat16), held
    return torch.Tensor(bits, torch.bfloat16), held


def to_float(tensor):
    if tensor.dtype is not torch.bfloat16:
        return tensor.numpy().astype(np.float32)
    if hasattr(torch, "frombuffer"):
        return tensor.float().numpy()
    return (tensor.numpy().astype(np.uint32) << 16).view(np.float32)


class Torch(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(SEED)
        shapes = (2, 4, 37, 16), (2, 2, 53, 16), (2, 2, 53, 24)
        self.arrays = [self.random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]

    def test_dtypes(self):
        for dtype, eps in (torch.float32, 0), (torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8):
            pairs = [bfloat16(x) if dtype is torch.bfloat16 else (torch.from_numpy(x.astype(str(dtype)[6:])),) * 2
                     for x in self.arrays]
            tensors = [pair[0] for pair in pairs]
            held = [pair[1] if dtype is torch.bfloat16 else to_float(pair[1]) for pair in pairs]
            w = int(self.random.integers(1, 40))
            o, lse = lacuna.attention(WINDOW, *tensors, lse=True, w=w)
            expected, expected_lse = reference(*held, lambda q, k: (k <= q) & (q - k < w))
            self.assertIsInstance(o, torch.Tensor)
            self.assertIs(o.dtype, dtype)
            self.assertEqual(tuple(o.shape), (2, 4, 37, 24))
            self.assertLess(np.abs(to_float(o) - expected).max(), eps + (53 + 64) * 2.0**-23)
            np.testing.assert_allclose(lse.numpy(), expected_lse, atol=1e-4)

    def test_no_copies(self):
        """The library sees the addresses and strides of the caller's tensors and of those that it gets back."""
        q, k, v = (torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 1, 3))).transpose(1, 2)
                   for x in self.arrays)
        document = torch.from_numpy(np.sort(self.random.integers(0, 3, (2, 53)).astype(np.int64)))
        text = "attention d { tensor doc: i32[batch, key]\n mask doc[b, q] == doc[b, k] }"
        seen, forward = [], lacuna._abi.lib.lacuna_forward

        def spy(program, args, stream):
            seen.append((args._obj, stream))
            return forward(program, args, stream)

        with unittest.mock.patch.object(lacuna._abi.lib, "lacuna_forward", side_effect=spy):
            o = lacuna.attention(text, q, k, v, doc=document)
        (args, stream), = seen
        self.assertIsNone(stream)
        for given, tensor in (args.q, q), (args.k, k), (args.v, v), (args.o, o), (args.tensors[0].tensor, document):
            self.assertEqual(given.data, tensor.data_ptr())
            self.assertEqual(given.strides[:given.rank], list(tensor.stride()))
        doc = document.numpy()
        at = np.arange(37)[:, None] + 16
        for b in range(2):
            part = [x[b:b + 1] for x in self.arrays]
            expected = reference(*part, lambda q, k: doc[b][at] == doc[b][k])[0]
            self.assertLess(np.abs(to_float(o)[b:b + 1] - expected).max(), (53 + 64) * 2.0**-23)

    def test_gpu_stream(self):
        """On a GPU the launch goes to torch's current stream, with the tensors' own addresses."""
        if torch.__name__ != "fake_torch":
            self.skipTest("the stand-in has GPU tensors without a GPU; torch has not")
        gpu = torch.Tensor(self.arrays[0], torch.float32, device="cuda").device
        on_gpu = lambda bits: self.on(gpu, torch.Tensor(bits, torch.float32))
        q, k, v = (on_gpu(x) for x in self.arrays)
        program = lacuna.Engine(device="host").program(WINDOW, torch.float32, 16, 24)
        streams = unittest.mock.Mock(current_stream=lambda device: unittest.mock.Mock(cuda_stream=77))
        empty = lambda shape, dtype, device: on_gpu(np.empty(shape, dtype.bits))
        with unittest.mock.patch.object(lacuna._abi, "HOST", 0), \
                unittest.mock.patch.object(torch, "cuda", streams, create=True), \
                unittest.mock.patch.object(torch, "empty", empty), \
                unittest.mock.patch.object(lacuna._abi.lib, "lacuna_forward", return_value=0) as forward:
            program.forward(q, k, v)
        self.assertEqual(forward.call_args.args[2], 77)
        self.assertEqual(forward.call_args.args[1]._obj.q.data, q.data_ptr())

    def on(self, device, tensor):
        tensor.device = device
        return tensor

    def test_refused(self):
        q, k, v = (torch.from_numpy(x) for x in self.arrays)
        program = lacuna.Engine(device="host").program(WINDOW, torch.float32, 16, 24)
        for words, call in [
            ("k: a ndarray beside a Tensor", lambda: program.forward(q, self.arrays[1], v)),
            ("v: a Tensor beside a ndarray", lambda: program.forward(self.arrays[0], self.arrays[1], v)),
            ("q: it wants a gradient", lambda: program.forward(q.requires_grad_(), k, v)),
        ]:
            with self.subTest(words), self.assertRaises(lacuna.Error) as caught:
                call()
            self.assertIn(words, str(caught.exception))
        with unittest.mock.patch.object(lacuna._abi, "HOST", 0), self.assertRaisesRegex(lacuna.Error, "computes on a GPU"):
            program.forward(torch.from_numpy(self.arrays[0]), k, v)


if __name__ == "__main__":
    unittest.main()
