import Testing

@testable import Laboratory

struct BatchOrderTests {
    private func batches(
        _ count: Int, samples: Int, size: Int, seed: Int = 0, purpose: String = "batches of a"
    ) -> [[Int]] {
        var order = BatchOrder(sampleCount: samples, batchSize: size, seed: seed, purpose: purpose)
        return (0..<count).map { _ in order.next() }
    }

    @Test(arguments: [(12, 4), (12, 1), (12, 12), (7, 7)])
    func `each epoch is a permutation`(samples: Int, size: Int) {
        let batches = batches(5 * (samples / size), samples: samples, size: size)
        for epoch in 0..<5 {
            let part = batches[epoch * (samples / size)..<(epoch + 1) * (samples / size)]
            #expect(part.joined().sorted() == Array(0..<samples))
        }
    }

    @Test func `what is left of an epoch is dropped, and no sample comes twice in one`() {
        let batches = batches(20, samples: 11, size: 4)
        for epoch in 0..<10 {
            let part = batches[2 * epoch] + batches[2 * epoch + 1]
            #expect(part.count == 8)
            #expect(Set(part).count == 8 && part.allSatisfy((0..<11).contains))
        }
        #expect(Set(batches.joined()) == Set(0..<11))
    }

    @Test func `a batch is no larger than the samples`() {
        #expect(batches(3, samples: 5, size: 64).allSatisfy { $0.sorted() == [0, 1, 2, 3, 4] })
        #expect(batches(3, samples: 0, size: 64) == [[], [], []])
    }

    @Test func `seed and purpose decide the order`() {
        let first = batches(6, samples: 30, size: 10)
        #expect(batches(6, samples: 30, size: 10) == first)
        #expect(batches(6, samples: 30, size: 10, seed: 1) != first)
        #expect(batches(6, samples: 30, size: 10, purpose: "batches of b") != first)
        #expect(first[0...2] != first[3...5])
    }
}
