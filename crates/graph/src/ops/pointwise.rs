//! Functions of one element. Their values, derivatives and divided differences are computed by the devices.

/// A function applied to every element. Formulas in ONNX and PyTorch agree unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pointwise {
    /// `max(x, 0)`, with derivative 0 at 0.
    Relu,
    /// `x` where positive, `alpha * x` elsewhere.
    LeakyRelu {
        /// The slope below 0.
        alpha: f64,
    },
    /// `x` where positive, `alpha (e^x - 1)` elsewhere.
    Elu {
        /// The limit below, negated.
        alpha: f64,
    },
    /// `gamma` times Elu.
    Selu {
        /// As in Elu.
        alpha: f64,
        /// The scale.
        gamma: f64,
    },
    /// `x Phi(x)` with the exact normal distribution function.
    Gelu,
    /// `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `min(max(alpha x + beta, 0), 1)`.
    HardSigmoid {
        /// The slope.
        alpha: f64,
        /// The value at 0.
        beta: f64,
    },
    /// `x min(max(x/6 + 1/2, 0), 1)`.
    HardSwish,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// `x tanh(softplus(x))`.
    Mish,
    /// `tanh x`.
    Tanh,
    /// `log(1 + e^x)`.
    Softplus,
    /// `min(max(x, low), high)`; ReLU6 is 0 to 6. Derivative 0 at both ends.
    Clip {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// `e^x`.
    Exp,
    /// `ln x`.
    Log,
    /// `sqrt x`.
    Sqrt,
    /// `|x|`, with derivative 0 at 0.
    Abs,
    /// `1 / x`.
    Reciprocal,
    /// The error function.
    Erf,
    /// `scale x + shift`: negation and arithmetic with a constant number.
    Affine {
        /// The factor.
        scale: f64,
        /// The addend.
        shift: f64,
    },
}

impl Pointwise {
    /// The ONNX operator type.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::LeakyRelu { .. } => "LeakyRelu",
            Self::Elu { .. } => "Elu",
            Self::Selu { .. } => "Selu",
            Self::Gelu | Self::GeluTanh => "Gelu",
            Self::Sigmoid => "Sigmoid",
            Self::HardSigmoid { .. } => "HardSigmoid",
            Self::HardSwish => "HardSwish",
            Self::Silu => "Silu",
            Self::Mish => "Mish",
            Self::Tanh => "Tanh",
            Self::Softplus => "Softplus",
            Self::Clip { .. } => "Clip",
            Self::Exp => "Exp",
            Self::Log => "Log",
            Self::Sqrt => "Sqrt",
            Self::Abs => "Abs",
            Self::Reciprocal => "Reciprocal",
            Self::Erf => "Erf",
            Self::Affine { .. } => "Affine",
        }
    }

    /// Whether the function is a straight line.
    pub fn is_affine(self) -> bool {
        matches!(self, Self::Affine { .. })
    }

    /// Whether Guided BackProp and Deconvolution treat it as a rectifier: ReLU alone, as their papers and Captum have it;
    /// everything else keeps its derivative.
    pub fn is_rectifier(self) -> bool {
        self == Self::Relu
    }
}
