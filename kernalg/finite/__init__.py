"""Networks of finite width: their functions, their tangent kernels, and their training."""
