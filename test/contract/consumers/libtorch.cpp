// A consumer in C++: libtorch WEIGHTS INPUT OUTPUT N HEIGHT WIDTH. Input and output are raw float32, (N, 1, Y, X).
#include <torch/script.h>
#include <torch/version.h>

#include <fstream>
#include <iostream>

int main(int count, char** words) {
  if (count != 7) {
    std::cerr << "expected WEIGHTS INPUT OUTPUT N HEIGHT WIDTH\n";
    return 2;
  }
  torch::NoGradGuard no_gradients;
  torch::jit::Module network = torch::jit::load(words[1]);
  torch::Tensor image = torch::empty({std::stoll(words[4]), 1, std::stoll(words[5]), std::stoll(words[6])});
  std::ifstream(words[2], std::ios::binary).read(static_cast<char*>(image.data_ptr()), image.nbytes());
  torch::Tensor answer = network.forward({image}).toTensor().contiguous();
  std::ofstream(words[3], std::ios::binary).write(static_cast<char*>(answer.data_ptr()), answer.nbytes());
  std::cout << TORCH_VERSION << "\n";
}
