"""The reader of programs compiled for a card that is not here (``make gpu-compile``)."""

from __future__ import annotations

from tests.bench.hlo import read

GOOD = """HloModule jit_predict

%fused (param: u8[2,4,4,3]) -> bf16[2,4,4,3] {
  ROOT %convert = bf16[2,4,4,3]{3,2,1,0} convert(%param)
}

ENTRY %main (weights_0_.1: bf16[3,3,3,8], weights_1_.1: bf16[8], pictures.1: u8[2,4,4,3]) -> bf16[2,4,4,8] {
  %pictures.1 = u8[2,4,4,3]{3,2,1,0} parameter(2), metadata={op_name="pictures"}
  %weights_0_.1 = bf16[3,3,3,8]{2,1,0,3} parameter(0)
  %weights_1_.1 = bf16[8]{0} parameter(1)
  %bitcast.1 = bf16[8,3,3,3]{3,2,1,0} bitcast(%weights_0_.1)
  %loop_convert = bf16[2,4,4,3]{3,2,1,0} fusion(%pictures.1), kind=kLoop, calls=%fused
  %conv = (bf16[2,4,4,8]{3,2,1,0}, u8[64]{0}) custom-call(%loop_convert, %bitcast.1, %weights_1_.1), \
custom_call_target="__cudnn$convBiasActivationForward"
  ROOT %out = bf16[2,4,4,8]{3,2,1,0} get-tuple-element(%conv), index=0
}
"""


def test_kernels_convolutions_and_bytes_are_counted() -> None:
    program = read(GOOD)
    assert [step.name for step in program.kernels] == ["loop_convert", "conv"]
    assert len(program.fused_convolutions) == len(program.convolutions) == 1
    assert not program.weight_kernels
    assert not program.transposes
    pictures, normalised, kernel, bias, out = 96, 192, 432, 16, 512
    assert program.bytes_moved == (pictures + normalised) + (normalised + kernel + bias + out)


def test_what_is_done_to_weights_alone_and_what_only_moves_activations_is_told() -> None:
    cast = "  %cast = bf16[8,3,3,3]{3,2,1,0} fusion(%weights_0_.1), kind=kLoop, calls=%f"
    moved = "  %input_transpose = bf16[2,4,4,3]{3,2,1,0} fusion(%loop_convert), kind=kInput, calls=%f"
    text = GOOD.replace("  %loop_convert =", f"{cast}\n  %loop_convert =").replace("  %conv =", f"{moved}\n  %conv =")
    program = read(text)
    assert [step.name for step in program.weight_kernels] == ["cast"]
    assert [step.name for step in program.transposes] == ["input_transpose"]


def test_a_convolution_apart_from_its_bias_counts_as_one_that_is_not_fused() -> None:
    text = GOOD.replace("convBiasActivationForward", "convForward").replace("(bf16[2,4,4,8]", "(f32[2,4,4,8]")
    program = read(text)
    assert not program.fused_convolutions
    assert [step.kind for step in program.convolutions] == ["f32"]
