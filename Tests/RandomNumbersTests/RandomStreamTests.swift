import TestSupport
import Testing

@testable import RandomNumbers

struct RandomStreamTests {
    private let stream = RandomStream(seed: 7, task: "satellite", tensor: "blocks.0.mlp.weight")

    private func uniforms(_ stream: RandomStream, _ range: Range<Int>) -> [Float] {
        var numbers = [Float](repeating: -1, count: range.count)
        var span = numbers.mutableSpan
        stream.fillUniform(from: range.lowerBound, into: &span)
        return numbers
    }

    private func kept(_ stream: RandomStream, _ probability: Double, _ count: Int) throws -> [Bool] {
        var mask = [Bool](repeating: false, count: count)
        var span = mask.mutableSpan
        try stream.fillKept(probability: probability, from: 0, into: &span)
        return mask
    }

    private func normals(_ stream: RandomStream, _ range: Range<Int>) -> [Float] {
        var numbers = [Float](repeating: 0, count: range.count)
        var span = numbers.mutableSpan
        stream.fillNormal(from: range.lowerBound, into: &span)
        return numbers
    }

    @Test func `a key of four words is the whole stream`() throws {
        let stream = RandomStream(seed: 7, task: "a", tensor: "fc1.weight")
        let copy = try #require(RandomStream(key: stream.key))
        #expect(copy == stream)
        #expect((0..<9).map(copy.uniform) == (0..<9).map(stream.uniform))
        #expect(RandomStream(key: [1, 2, 3]) == nil)
        #expect(RandomStream(key: []) == nil)
    }

    /// The values are from Python's hashlib and a Philox in Python; the last has a block number of 33 bits.
    @Test func `the words of elements follow from seed, task and tensor as documented`() {
        let expected: [(Int, UInt32)] = [
            (0, 0xA5F0_80F9), (1, 0x90A4_2444), (2, 0x665C_34CC), (3, 0xA1C1_7B82), (4, 0x51E7_2DCD),
            (5, 0x3C9B_B2FA), (1_000_003, 0xE573_9D42), (1 << 34 + 1, 0x9B4D_EB8B),
        ]
        for (element, word) in expected {
            #expect(stream.words(ofBlock: UInt64(element) / 4)[element % 4] == word)
            #expect(stream.uniform(at: element) == Float(word >> 8) / 16_777_216)
        }
    }

    @Test(arguments: [0..<1, 0..<3, 1..<4, 3..<5, 2..<200, 31..<64, 32..<64, 5..<5, 997..<1000])
    func `an element's number does not depend on the range it is asked in`(range: Range<Int>) {
        let all = uniforms(stream, 0..<1000)
        #expect(uniforms(stream, range) == Array(all[range]))
        #expect(range.map { stream.uniform(at: $0) } == Array(all[range]))
        #expect(normals(stream, range) == range.map { stream.normal(at: $0) })
    }

    @Test func `ranges in any order and of any size give the same numbers`() {
        let whole = uniforms(stream, 0..<5000)
        var pieces = [Float](repeating: -1, count: 5000)
        for size in [7, 64, 1001] {
            for first in stride(from: 0, to: 5000, by: size).reversed() {
                let range = first..<min(first + size, 5000)
                pieces.replaceSubrange(range, with: uniforms(stream, range))
            }
            #expect(pieces == whole)
        }
    }

    @Test func `another seed, task or tensor has other numbers, and names do not run into each other`() {
        let streams = [
            stream, RandomStream(seed: 8, task: "satellite", tensor: "blocks.0.mlp.weight"),
            RandomStream(seed: 7, task: "controls", tensor: "blocks.0.mlp.weight"),
            RandomStream(seed: 7, task: "satellite", tensor: "blocks.1.mlp.weight"),
            RandomStream(seed: 7, task: "satelliteb", tensor: "locks.0.mlp.weight"),
        ]
        let numbers = streams.map { uniforms($0, 0..<64) }
        for index in numbers.indices {
            for other in numbers[..<index] { #expect(zip(numbers[index], other).count { $0 == $1 } == 0) }
        }
    }

    /// The counts are from an implementation in numpy.
    ///
    /// They lie within one standard deviation of the expectation.
    @Test func `counts of a million elements are those of an independent implementation`() throws {
        let count = 1 << 20
        #expect(try kept(stream, 0.3, count).count { $0 } == 314_237)
        var histogram = [Int](repeating: 0, count: 16)
        for number in uniforms(stream, 0..<count) { histogram[Int(number * 16)] += 1 }
        #expect(
            histogram == [
                65286, 65830, 65386, 65219, 65613, 65546, 65432, 65297, 65708, 65713, 65485, 65709, 65722, 65235,
                65809, 65586,
            ])
        let numbers = normals(stream, 0..<count)
        #expect([1, 2, 3].map { limit in numbers.count { $0.magnitude < limit } } == [715_540, 1_001_151, 1_045_740])
        let sum = numbers.reduce(0.0) { $0 + Double($1) }
        let squares = numbers.reduce(0.0) { $0 + Double($1) * Double($1) }
        expectClose(sum / Double(count), 0.0006206421804754011, absolute: 1e-9)
        expectClose((squares - sum * sum / Double(count)) / Double(count), 0.999440158160747, absolute: 1e-8)
    }

    @Test func `masks of two tasks are independent`() throws {
        let other = RandomStream(seed: 7, task: "controls", tensor: "blocks.0.mlp.weight")
        let masks = zip(try kept(stream, 0.5, 1 << 20), try kept(other, 0.5, 1 << 20))
        // The count is a quarter of 1 048 576, within one standard deviation of 443.
        #expect(masks.count { $0 && $1 } == 262_447)
    }

    @Test func `a mask is the uniform number below the probability, and 0 and 1 are certain`() throws {
        let numbers = uniforms(stream, 0..<4096)
        #expect(try kept(stream, 0.25, 4096) == numbers.map { $0 < 0.25 })
        #expect(try kept(stream, 1, 4096).allSatisfy { $0 })
        #expect(try !kept(stream, 0, 4096).contains(true))
        #expect(try (0..<64).map { try stream.isKept($0, probability: 0.25) } == numbers[..<64].map { $0 < 0.25 })
    }

    @Test(arguments: [-0.1, 1.5, .nan, .infinity]) func `what is no probability is refused`(value: Double) throws {
        let error = try #require(throws: RandomNumbersError.self) { try kept(stream, value, 4) }
        #expect(error.description == "the probability is \(value); expected a number from 0 to 1.")
    }
}
