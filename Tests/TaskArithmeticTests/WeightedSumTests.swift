import LinearAlgebra
import TaskArithmetic
import TestSupport
import Testing

struct WeightedSumTests {
    private func bytes(_ values: [Double], _ type: ElementType) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: values.count * type.byteCount)
        var span = bytes.mutableSpan
        var raw = span.mutableBytes
        try type.encode(values.span, into: &raw)
        return bytes
    }

    private func values(_ bytes: [UInt8], _ type: ElementType) throws -> [Double] {
        var values = [Double](repeating: 0, count: bytes.count / type.byteCount)
        var destination = values.mutableSpan
        try type.decode(bytes.span.bytes, into: &destination)
        return values
    }

    private func merged(
        _ base: [Double],
        _ tasks: [(values: [Double], weight: Double)],
        types: (base: ElementType, task: ElementType, output: ElementType),
        divides: Bool = false,
        alpha: Double = 1
    ) throws -> [UInt8] {
        var merge = try WeightedSum(
            capacity: base.count,
            precision: MergePrecision(operands: [types.base, types.task])
        )
        let baseBytes = try bytes(base, types.base)
        try merge.begin(base: baseBytes.span.bytes, type: types.base)
        for task in tasks {
            let taskBytes = try bytes(task.values, types.task)
            try merge.add(taskBytes.span.bytes, type: types.task, weight: task.weight)
        }
        var output = [UInt8](repeating: 0, count: base.count * types.output.byteCount)
        var span = output.mutableSpan
        var raw = span.mutableBytes
        try merge.finish(divides: divides, alpha: alpha, into: &raw, type: types.output)
        return output
    }

    /// Values on a coarse grid, so that every type holds them and every sum exactly.
    private func grid(_ count: Int, seed: UInt64) -> [Double] {
        var random = SplitMix64(seed: seed)
        return (0..<count).map { _ in Double(Int(random.next() % 17) - 8) / 8 }
    }

    /// Σ w θ / Σ w; a base of 1e30 would absorb every task.
    @Test(arguments: [MergePrecision.single, .double])
    func `without a base tasks are summed as they are`(precision: MergePrecision) throws {
        var merge = try WeightedSum(capacity: 2, precision: precision)
        let (first, second) = (try bytes([1, -2], .f32), try bytes([3, 6], .f32))
        try merge.begin(elements: 2)
        try merge.add(first.span.bytes, type: .f32, weight: 1)
        try merge.add(second.span.bytes, type: .f32, weight: 3)
        var output = [UInt8](repeating: 0, count: 8)
        var span = output.mutableSpan
        var raw = span.mutableBytes
        try merge.finish(divides: true, into: &raw, type: .f32)
        #expect(try values(output, .f32) == [2.5, 4])
    }

    @Test func `the base counts with its weight`() throws {
        var merge = try WeightedSum(capacity: 1, precision: .single)
        let (base, task) = (try bytes([2], .f32), try bytes([6], .f32))
        try merge.begin(base: base.span.bytes, type: .f32)
        try merge.addBase(weight: 3)
        try merge.add(task.span.bytes, type: .f32, weight: 1)
        var output = [UInt8](repeating: 0, count: 4)
        var span = output.mutableSpan
        var raw = span.mutableBytes
        try merge.finish(divides: true, into: &raw, type: .f32)
        #expect(try values(output, .f32) == [3])
    }

    @Test(arguments: ElementType.allCases, ElementType.allCases)
    func `task arithmetic over any mix of types`(base: ElementType, task: ElementType) throws {
        let origin = grid(37, seed: 1)
        let tasks = [(grid(37, seed: 2), 1.0), (grid(37, seed: 3), -0.5)]
        for output in ElementType.allCases {
            let found = try values(
                merged(origin, tasks, types: (base, task, output), alpha: 0.5),
                output
            )
            let expected = (0..<37).map { index in
                origin[index]
                    + 0.5 * tasks.reduce(0) { $0 + $1.1 * ($1.0[index] - origin[index]) }
            }
            #expect(found == expected)
        }
    }

    @Test func `the weighted average divides by the weights`() throws {
        let origin = grid(9, seed: 4)
        let tasks = [(grid(9, seed: 5), 1.0), (grid(9, seed: 6), 3.0)]
        let found = try values(merged(origin, tasks, types: (.f32, .f32, .f32), divides: true), .f32)
        #expect(found == (0..<9).map { 0.25 * tasks[0].0[$0] + 0.75 * tasks[1].0[$0] })
    }

    @Test func `the result is rounded once`() throws {
        // 1 + 2⁻⁸ + 2⁻³⁰ is above the midpoint of two bf16 neighbours; rounded through fp32 it would be the midpoint.
        let found = try values(merged([1], [([1 + 0x1p-8 + 0x1p-30], 1)], types: (.f64, .f64, .bf16)), .bf16)
        #expect(found == [1 + 0x1p-7])
        let tie = try values(merged([1], [([1 + 0x1p-8], 1)], types: (.f64, .f64, .bf16)), .bf16)
        #expect(tie == [1])
    }

    @Test func `splitting a tensor into ranges changes no bit`() throws {
        var random = SplitMix64(seed: 7)
        let (origin, first, second) = (random.values(10_000), random.values(10_000), random.values(10_000))
        let types = (base: ElementType.bf16, task: ElementType.f16, output: ElementType.bf16)
        let whole = try merged(origin, [(first, 0.3), (second, 0.7)], types: types)
        var parts: [UInt8] = []
        for start in stride(from: 0, to: 10_000, by: 777) {
            let range = start..<min(start + 777, 10_000)
            parts += try merged(
                Array(origin[range]),
                [(Array(first[range]), 0.3), (Array(second[range]), 0.7)],
                types: types
            )
        }
        #expect(whole == parts)
    }

    @Test func `each refusal is a whole sentence`() throws {
        func message(_ body: (inout WeightedSum) throws -> Void) throws -> String? {
            var merge = try WeightedSum(capacity: 2, precision: .single)
            var caught: TaskArithmeticError?
            do {
                try body(&merge)
            } catch let error as TaskArithmeticError {
                caught = error
            }
            return caught?.description
        }
        let two = try bytes([1, 2], .f32)
        let three = try bytes([1, 2, 3], .f32)
        var output = [UInt8](repeating: 0, count: 8)
        #expect(
            try message { try $0.begin(base: three.span.bytes, type: .f32) }
                == "a range of 3 elements; expected at most the 2 that the merge was made for."
        )
        #expect(
            try message { try $0.begin(base: three.span.bytes.extracting(0..<6), type: .f32) }
                == "a range of 6 bytes holds no whole number of F32 elements."
        )
        #expect(
            try message {
                try $0.begin(base: two.span.bytes, type: .f32)
                try $0.add(three.span.bytes, type: .f32, weight: 1)
            } == "a range of F32 elements holds 12 bytes; expected 8."
        )
        #expect(
            try message {
                try $0.begin(base: two.span.bytes, type: .f32)
                try $0.add(two.span.bytes, type: .f32, weight: .infinity)
            } == "the weight is inf; expected a finite number."
        )
        #expect(
            try message { try $0.begin(elements: 3) }
                == "a range of 3 elements; expected at most the 2 that the merge was made for.")
        #expect(
            try message {
                try $0.begin(elements: 2)
                try $0.addBase(weight: .nan)
            } == "the weight is nan; expected a finite number.")
        let empty = try message { merge in
            try merge.begin(base: two.span.bytes, type: .f32)
            var span = output.mutableSpan
            var raw = span.mutableBytes
            try merge.finish(divides: false, into: &raw, type: .f32)
        }
        #expect(empty == "a merge of no task; expected at least one.")
        let cancelling = try message { merge in
            try merge.begin(base: two.span.bytes, type: .f32)
            try merge.add(two.span.bytes, type: .f32, weight: 1)
            try merge.add(two.span.bytes, type: .f32, weight: -1)
            var span = output.mutableSpan
            var raw = span.mutableBytes
            try merge.finish(divides: true, into: &raw, type: .f32)
        }
        #expect(
            cancelling == "the weights of an average sum to zero; expected a sum other than zero. Use task_arithmetic "
                + "to negate."
        )
    }
}
