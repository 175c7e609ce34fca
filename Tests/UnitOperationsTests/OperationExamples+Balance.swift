import LinearAlgebra

@testable import UnitOperations

extension OperationExample {
    static let exactTrace: OperationExample = {
        let operation = ExactTraceOperation(
            inputs: .init(
                columns: 2, type: .numbers(.f32),
                slices: [
                    RowSlice(slice: slice(4, offset: 1 << 40, byteCount: 400), rows: 50, firstRow: 1 << 40),
                    RowSlice(slice: slice(2, byteCount: 8), rows: 1, firstRow: 7),
                ]), appendsOnes: true,
            gradients: .init(
                columns: 3, type: .numbers(.bf16),
                slices: [
                    RowSlice(slice: slice(3, byteCount: 600), rows: 100, firstRow: 5),
                    RowSlice(slice: slice(2, byteCount: 12), rows: 2, firstRow: 6),
                ]), probes: 2,
            borders: .numbers([
                SampleNumbers(slice: slice(3, byteCount: 200), isWide: false, samples: 9),
                SampleNumbers(slice: slice(1, byteCount: 8), isWide: true, samples: 1 << 40),
            ]), chunkRows: 4096, divisor: 0.1)
        func numbers(_ change: @escaping (inout SampleNumbers) -> Void) -> (inout ExactTraceOperation) -> Void {
            { operation in
                guard case .numbers(var numbers) = operation.borders else { return }
                change(&numbers[0])
                operation.borders = .numbers(numbers)
            }
        }
        func other(_ change: @escaping (inout SampleNumbers) -> Void) -> (inout ExactTraceOperation) -> Void {
            { operation in
                guard case .numbers(var numbers) = operation.borders else { return }
                change(&numbers[1])
                operation.borders = .numbers(numbers)
            }
        }
        let changes = [\ExactTraceOperation.inputs, \.gradients].flatMap { rows in
            [0, 1].flatMap { number -> [(inout ExactTraceOperation) -> Void] in
                [
                    { $0[keyPath: rows].slices[number].slice.file = 5 },
                    { $0[keyPath: rows].slices[number].slice.offset += 1 },
                    { $0[keyPath: rows].slices[number].slice.byteCount += 1 },
                    { $0[keyPath: rows].slices[number].rows += 1 },
                    { $0[keyPath: rows].slices[number].firstRow += 1 },
                ]
            } + [{ $0[keyPath: rows].columns = 7 }, { $0[keyPath: rows].type = .numbers(.f16) }]
        }
        let numberChanges = [numbers, other].flatMap { change in
            [
                change { $0.slice.file = 5 }, change { $0.slice.offset += 1 }, change { $0.slice.byteCount += 8 },
                change { $0.isWide.toggle() }, change { $0.samples += 1 },
            ]
        }
        return OperationExample(
            operation,
            changes + numberChanges + [
                { $0.appendsOnes = false }, { $0.probes = 3 }, { $0.chunkRows = 1 }, { $0.divisor = 0.1.nextUp },
            ])
    }()

    static let exactTraceOfIndices = OperationExample(
        ExactTraceOperation(
            inputs: .init(
                columns: 1, type: .indices(.i64), slices: [RowSlice(slice: slice(4, byteCount: 400), rows: 50)]),
            appendsOnes: true,
            gradients: .init(
                columns: 3, type: .numbers(.f16), slices: [RowSlice(slice: slice(3, byteCount: 300), rows: 50)]),
            probes: 1, borders: .positions(5), chunkRows: 10, divisor: 3),
        [
            { $0.inputs.columns = 2 }, { $0.inputs.type = .indices(.i32) }, { $0.inputs.slices[0].slice.file = 5 },
            { $0.inputs.slices[0].slice.offset += 1 }, { $0.inputs.slices[0].slice.byteCount += 1 },
            { $0.inputs.slices[0].rows += 1 }, { $0.inputs.slices[0].firstRow += 1 }, { $0.gradients.columns = 2 },
            { $0.gradients.type = .numbers(.bf16) }, { $0.gradients.slices[0].slice.file = 5 },
            { $0.gradients.slices[0].slice.offset += 1 }, { $0.gradients.slices[0].slice.byteCount += 1 },
            { $0.gradients.slices[0].rows += 1 }, { $0.gradients.slices[0].firstRow += 1 },
            { $0.appendsOnes = false }, { $0.probes = 2 }, { $0.borders = .positions(4) }, { $0.chunkRows = 9 },
            { $0.divisor = 4 },
        ])

    static let balance: OperationExample = {
        let measured = BalanceOperation.Measured(inputPlace: 1, gradientPlace: 2, partCount: 3, known: 0.5)
        func change(
            _ change: @escaping (inout BalanceOperation.Measured) -> Void
        ) -> (inout BalanceOperation) -> Void {
            { operation in
                var changed = measured
                change(&changed)
                operation.scalar = .measured(changed)
            }
        }
        return OperationExample(
            BalanceOperation(shape: .full(3), scalar: .measured(measured)),
            [
                { $0.shape = .full(4) }, { $0.shape = .diagonal(3) }, change { $0.inputPlace = 0 },
                change { $0.gradientPlace = 0 }, change { $0.partCount = 1 }, change { $0.known = 0 },
                { $0.givesDouble = true },
            ])
    }()

    static let balanceAsStated = OperationExample(
        BalanceOperation(shape: .diagonal(3), scalar: .stated(0.3)),
        [
            { $0.shape = .full(3) }, { $0.shape = .diagonal(4) }, { $0.scalar = .stated(0.3.nextUp) },
            { $0.givesDouble = true },
        ])
}
