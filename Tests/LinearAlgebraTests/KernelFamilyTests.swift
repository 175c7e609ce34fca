import LinearAlgebra
import Testing

struct KernelFamilyTests {
    @Test func `a kernel family is library, version and kernels`() {
        let words = BLASEnvironment.kernelFamily.split(separator: " ")
        #expect(words.count == 3)
        #expect(words.first == "OpenBLAS")
        #expect(words.last == BLASEnvironment.kernels[...])
    }
}
