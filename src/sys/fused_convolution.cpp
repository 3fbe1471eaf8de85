// Convolutions of libtorch that finish their result before it leaves the registers. libtorch offers them to its own graph
// compiler only, by name and not in its C++ API, so they are called through its dispatcher. src/sys/fused_convolution.rs is the caller.

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

namespace {

using Stack = torch::jit::Stack;

c10::OperatorHandle find(const char* name, const char* overload) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
}

// Weight, bias, padding, stride, dilation, groups.
void push_convolution(Stack& stack, const at::Tensor& weight, const at::Tensor* bias, const int64_t padding[2]) {
  stack.emplace_back(weight);
  stack.emplace_back(bias != nullptr ? c10::IValue(*bias) : c10::IValue());
  stack.emplace_back(c10::List<int64_t>({padding[0], padding[1]}));
  stack.emplace_back(c10::List<int64_t>({1, 1}));
  stack.emplace_back(c10::List<int64_t>({1, 1}));
  stack.emplace_back(int64_t{1});
}

c10::List<std::optional<at::Scalar>> no_scalars() {
  return c10::List<std::optional<at::Scalar>>();
}

at::Tensor convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor* bias,
                    const int64_t padding[2], const char* activation) {
  static const c10::OperatorHandle operation = find("mkldnn::_convolution_pointwise", "");
  Stack stack;
  stack.emplace_back(input);
  push_convolution(stack, weight, bias, padding);
  stack.emplace_back(std::string(activation));
  stack.emplace_back(no_scalars());
  stack.emplace_back(std::string());
  operation.callBoxed(stack);
  return stack.back().toTensor();
}

void add_convolution(at::Tensor sum, const at::Tensor& input, const at::Tensor& weight, const at::Tensor* bias,
                     const int64_t padding[2]) {
  static const c10::OperatorHandle operation = find("mkldnn::_convolution_pointwise_", "binary");
  Stack stack;
  stack.emplace_back(std::move(sum));
  stack.emplace_back(input);
  push_convolution(stack, weight, bias, padding);
  stack.emplace_back(std::string("add"));
  stack.emplace_back(c10::Scalar(1.0));
  stack.emplace_back();
  stack.emplace_back(no_scalars());
  stack.emplace_back();
  operation.callBoxed(stack);
}

template <typename Work>
char* caught(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  }
}

}  // namespace

// Each returns null, or what went wrong, which `nilas_free_text` frees. `bias` may be null; padding is that of rows and columns.

extern "C" char* nilas_convolve(const at::Tensor* input, const at::Tensor* weight, const at::Tensor* bias,
                                const int64_t padding[2], const char* activation, at::Tensor** out) {
  return caught([&] { *out = new at::Tensor(convolve(*input, *weight, bias, padding, activation)); });
}

extern "C" char* nilas_add_convolution(const at::Tensor* sum, const at::Tensor* input, const at::Tensor* weight,
                                       const at::Tensor* bias, const int64_t padding[2]) {
  return caught([&] { add_convolution(*sum, *input, *weight, bias, padding); });
}

extern "C" void nilas_free_text(char* text) { std::free(text); }
