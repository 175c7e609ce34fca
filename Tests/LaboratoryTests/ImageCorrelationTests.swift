import LinearAlgebra
import TestSupport
import Testing

@testable import Laboratory

struct ImageCorrelationTests {
    /// Four pixels; the mean of each is 2, and the first two are orthogonal around it.
    private static let images: [UInt8] = [1, 3, 1, 3, 1, 1, 3, 3]

    private func nearest(_ decodings: [[Double]]) throws -> ImageCorrelation {
        try ImageCorrelation(of: decodings, with: Self.images, pixelCount: 4)
    }

    @Test func `brightness, contrast and sign do not count`() throws {
        let found = try nearest([[2.5, 6.5, 2.5, 6.5, -1, -1, -3, -3, 1, 3, 1, 3]])
        #expect(found.nearest.map(\.image) == [0, 1, 0])
        expectClose(found.nearest.map(\.correlation), [1, -1, 1], absolute: 1e-12)
        expectClose(found.mean, 1, absolute: 1e-12)
        expectClose(found.largest, 1, absolute: 1e-12)
    }

    @Test func `a sum of two orthogonal images correlates with both by the cosine`() throws {
        // 3 a + 4 b: the cosines are 3/5 and 4/5.
        let found = try nearest([[-7, -1, 1, 7]])
        #expect(found.nearest.map(\.image) == [1])
        expectClose(found.mean, 0.8, absolute: 1e-12)
    }

    @Test func `an image without contrast and one orthogonal to all correlate with nothing`() throws {
        let found = try nearest([[5, 5, 5, 5, 1, -1, -1, 1]])
        expectClose(found.nearest.map(\.correlation), [0, 0], absolute: 1e-12)
        #expect(found.largest < 1e-12)
    }

    @Test func `the better of two decodings counts for each row`() throws {
        let found = try nearest([[1, 3, 1, 3, 1, -1, -1, 1], [1, -1, -1, 1, 1, 1, 3, 3]])
        #expect(found.nearest.map(\.decoding) == [0, 1])
        #expect(found.nearest.map(\.image) == [0, 1])
        expectClose(found.mean, 1, absolute: 1e-12)
    }

    @Test func `the order of two lists is a probability, with halves for equal numbers`() {
        #expect(probabilityOfOrder([3, 4], over: [1, 2]) == 1)
        #expect(probabilityOfOrder([1, 2], over: [3, 4]) == 0)
        #expect(probabilityOfOrder([1, 3], over: [2, 2]) == 0.5)
        #expect(probabilityOfOrder([1, 1], over: [1, 0]) == 0.75)
    }
}
