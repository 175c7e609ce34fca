import Testing

@testable import Laboratory

struct ClassHeadTests {
    private let head = ClassHead(weights: [1, 2, 3, -1, 0, 1], classCount: 2, featureWidth: 3)

    @Test func `logits are weights times features`() {
        var logits = [Float](repeating: 9, count: 4)
        head.logits(of: [1, 0, 0, 1, 1, 2], samples: 2, into: &logits)
        #expect(logits == [1, -1, 9, 1])
    }

    @Test func `the gradient goes back through the transposed weights`() {
        var gradient = [Float](repeating: 9, count: 6)
        head.featureGradient(of: [1, 0, 2, -1], samples: 2, into: &gradient)
        #expect(gradient == [1, 2, 3, 3, 4, 5])
    }

    @Test func `accuracy is the share of labels that have the largest logit`() {
        let features: [Float] = [1, 0, 0, -1, 0, 0, 0, 1, 0]
        #expect(head.accuracy(of: features, labels: [0, 1, 0]) == 100)
        #expect(head.accuracy(of: features, labels: [1, 0, 1]) == 0)
        #expect(head.accuracy(of: Array(features[..<6]), labels: [0, 0]) == 50)
    }

    @Test func `of equal logits the first counts`() {
        #expect(head.accuracy(of: [0, 0, 0], labels: [0]) == 100)
        #expect(head.accuracy(of: [0, 0, 0], labels: [1]) == 0)
    }

    @Test func `no samples have no accuracy`() {
        #expect(head.accuracy(of: [], labels: []) == 0)
    }
}
