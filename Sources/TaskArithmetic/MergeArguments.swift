/// The value of a parameter.
public enum MergeValue: Equatable, Sendable, CustomStringConvertible {
    /// A number.
    case number(Double)
    /// True or false.
    case truth(Bool)
    /// A whole number.
    case count(Int)
    /// A word.
    case word(String)

    /// The value as a job file writes it.
    public var description: String {
        switch self {
        case .number(let value): Int(exactly: value).map { "\($0)" } ?? "\(value)"
        case .truth(let value): "\(value)"
        case .count(let value): "\(value)"
        case .word(let value): value
        }
    }
}

/// A parameter's name with its value.
public struct MergeArgument: Equatable, Sendable {
    /// The parameter's key.
    public let name: String
    /// Its value.
    public let value: MergeValue
}

/// The values of a method's own parameters for one tensor, by name.
///
/// A method's computation reads them by the constants of its file. A parameter that is not given has its default.
public struct MergeArguments: Equatable, Sendable {
    /// The given values, in the order of their names.
    public let given: [MergeArgument]

    /// Takes values by name; a method without parameters of its own has none.
    public init(_ values: [String: MergeValue] = [:]) {
        given = values.sorted { $0.key < $1.key }.map { MergeArgument(name: $0.key, value: $0.value) }
    }

    /// The given value of a parameter, or its default.
    public subscript(parameter: MergeParameter) -> MergeValue? {
        if let argument = given.first(where: { $0.name == parameter.name }) { return argument.value }
        guard case .value(let value) = parameter.defaultValue else { return nil }
        return value
    }

    /// The value of a parameter that is a number.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when it has no such value.
    public func number(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Double {
        guard case .number(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// The value of a parameter that is true or false.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when it has no such value.
    public func truth(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Bool {
        guard case .truth(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// The value of a parameter that is a whole number.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when it has no such value.
    public func count(_ parameter: MergeParameter) throws(TaskArithmeticError) -> Int {
        guard case .count(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    /// The value of a parameter that is a word.
    ///
    /// - Throws: ``TaskArithmeticError/parameterMissing(name:expected:)`` when it has no such value.
    public func word(_ parameter: MergeParameter) throws(TaskArithmeticError) -> String {
        guard case .word(let value) = self[parameter] else { throw missing(parameter) }
        return value
    }

    private func missing(_ parameter: MergeParameter) -> TaskArithmeticError {
        .parameterMissing(name: parameter.name, expected: parameter.expectation)
    }
}
