//! Layers with weights: convolutions, linear layers, matrix products. Each stays one operator, because rules speak about
//! them.

use super::call::Call;
use super::unsupported;
use crate::raw::Attribute;
use voxplain_tensor::Result;

pub(super) fn translate(call: &mut Call<'_>) -> Result<bool> {
    match call.operator() {
        "conv1d" | "conv2d" | "conv3d" => convolution(call, "Conv")?,
        "conv_transpose1d" | "conv_transpose2d" | "conv_transpose3d" => convolution(call, "ConvTranspose")?,
        "convolution" => {
            let op = if call.flag("transposed", false)? { "ConvTranspose" } else { "Conv" };
            convolution(call, op)?;
        }
        "linear" => linear(call)?,
        "addmm" => addmm(call)?,
        "matmul" | "mm" | "bmm" => product(call)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn convolution(call: &mut Call<'_>, op: &str) -> Result<()> {
    let kernel = call.sizes("weight")?.get(2..).unwrap_or(&[]);
    let n = kernel.len();
    let dilations = call.ints("dilation", n, 1)?;
    let pads = if call.overload() == "padding" {
        named_padding(call.text("padding", "valid")?, kernel, &dilations)?
    } else {
        let pads = call.ints("padding", n, 0)?;
        [pads.as_slice(), &pads].concat()
    };
    let mut attributes = vec![
        ("strides", Attribute::Ints(call.ints("stride", n, 1)?)),
        ("dilations", Attribute::Ints(dilations)),
        ("pads", Attribute::Ints(pads)),
        ("group", Attribute::Int(call.int("groups", 1)?)),
    ];
    let more = call.ints("output_padding", n, 0)?;
    if op == "ConvTranspose" {
        attributes.push(("output_padding", Attribute::Ints(more)));
    }
    let mut inputs = vec![call.tensor("input")?, call.tensor("weight")?];
    inputs.extend(call.optional("bias")?);
    call.emit(op, inputs, attributes);
    Ok(())
}

/// `padding='same'`: where the total is odd, the end has one more.
fn named_padding(name: &str, kernel: &[i64], dilations: &[i64]) -> Result<Vec<i64>> {
    let total = |(&k, &d): (&i64, &i64)| match name {
        "valid" => Ok(0),
        "same" => Ok(k.saturating_sub(1).saturating_mul(d)),
        _ => Err(unsupported(&format!("padding {name:?} is not supported, same and valid are"))),
    };
    let total = kernel.iter().zip(dilations).map(total).collect::<Result<Vec<i64>>>()?;
    Ok(total.iter().map(|t| t / 2).chain(total.iter().map(|t| t - t / 2)).collect())
}

/// A linear layer is one operator on matrices, so rows of data with more axes are lined up and put back.
fn linear(call: &mut Call<'_>) -> Result<()> {
    let mut inputs = vec![call.tensor("input")?, call.tensor("weight")?];
    inputs.extend(call.optional("bias")?);
    call.emit("Linear", inputs, vec![("transB", Attribute::Int(1))]);
    Ok(())
}

/// `beta * self + alpha * mat1 * mat2`.
fn addmm(call: &mut Call<'_>) -> Result<()> {
    let inputs = vec![call.tensor("mat1")?, call.tensor("mat2")?, call.tensor("self")?];
    let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
    call.emit("Gemm", inputs, vec![("alpha", Attribute::Float(alpha)), ("beta", Attribute::Float(beta))]);
    Ok(())
}

fn product(call: &mut Call<'_>) -> Result<()> {
    let other = if call.operator() == "matmul" { "other" } else { "mat2" };
    if call.sizes("self")?.len() < 2 || call.sizes(other)?.len() < 2 {
        return Err(unsupported("a product with a vector is not supported, matrices are: unsqueeze it"));
    }
    let inputs = vec![call.tensor("self")?, call.tensor(other)?];
    call.emit("MatMul", inputs, vec![]);
    Ok(())
}
