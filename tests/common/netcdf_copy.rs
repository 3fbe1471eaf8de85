//! A small NetCDF file held in memory: read, changed at will, written again in any format.

use std::path::Path;

use netcdf::types::{FloatType, IntType, NcVariableType};
use netcdf::{AttributeValue, Options};
use nilas::sys::silence_hdf5_errors;

/// Opens a file to look at. What HDF5 says of attributes that are not there would hide what tests say.
pub(crate) fn open(path: &Path) -> netcdf::File {
    silence_hdf5_errors();
    netcdf::open(path).unwrap()
}

/// Everything in a file.
pub(crate) struct Dataset {
    pub(crate) attributes: Vec<(String, AttributeValue)>,
    pub(crate) dimensions: Vec<(String, usize)>,
    pub(crate) variables: Vec<Variable>,
}

/// One variable with its values as stored.
#[derive(Clone)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) dimensions: Vec<String>,
    pub(crate) attributes: Vec<(String, AttributeValue)>,
    pub(crate) values: Values,
}

/// Values in the type of their variable.
#[derive(Clone)]
pub(crate) enum Values {
    Byte(Vec<i8>),
    Int(Vec<i32>),
    Float(Vec<f32>),
    Double(Vec<f64>),
}

impl Dataset {
    /// Reads a file, without its longitudes and latitudes.
    pub(crate) fn read(path: &Path) -> netcdf::Result<Self> {
        silence_hdf5_errors();
        let file = netcdf::open(path)?;
        let mut dataset = Self { attributes: Vec::new(), dimensions: Vec::new(), variables: Vec::new() };
        for attribute in file.attributes() {
            dataset.attributes.push((attribute.name().to_owned(), attribute.value()?));
        }
        for dimension in file.dimensions() {
            dataset.dimensions.push((dimension.name(), dimension.len()));
        }
        for variable in
            file.variables().filter(|variable| !["lat", "lon"].contains(&variable.name().as_str()))
        {
            let mut attributes = Vec::new();
            for attribute in variable.attributes() {
                attributes.push((attribute.name().to_owned(), attribute.value()?));
            }
            dataset.variables.push(Variable {
                name: variable.name(),
                dimensions: variable.dimensions().iter().map(netcdf::Dimension::name).collect(),
                attributes,
                values: read_values(&variable)?,
            });
        }
        Ok(dataset)
    }

    /// Writes it; `Options::empty()` is the classic format, `Options::NETCDF4` the other. A variable whose values were taken away is
    /// defined only.
    pub(crate) fn write(&self, path: &Path, options: Options) -> netcdf::Result<()> {
        silence_hdf5_errors();
        let is_netcdf4 = options.contains(Options::NETCDF4);
        let mut file = netcdf::create_with(path, options)?;
        for (name, value) in &self.attributes {
            file.add_attribute(name, value.clone())?;
        }
        for (name, length) in &self.dimensions {
            file.add_dimension(name, *length)?;
        }
        for variable in &self.variables {
            let dimensions: Vec<&str> = variable.dimensions.iter().map(String::as_str).collect();
            let mut added =
                file.add_variable_with_type(&variable.name, &dimensions, &variable.values.kind())?;
            // In pieces, so that a file does not keep room for what is defined only.
            let is_defined_only = variable.values.len() == 0;
            if is_netcdf4 && (dimensions.len() > 2 || is_defined_only) {
                added.set_compression(1, true)?;
            }
            for (name, value) in &variable.attributes {
                added.put_attribute(name, value.clone())?;
            }
        }
        if !is_netcdf4 {
            file.enddef()?;
        }
        for variable in self.variables.iter().filter(|variable| variable.values.len() > 0) {
            let mut written = file.variable_mut(&variable.name).ok_or("the variable was defined just now")?;
            match &variable.values {
                Values::Byte(values) => written.put_values(values, ..)?,
                Values::Int(values) => written.put_values(values, ..)?,
                Values::Float(values) => written.put_values(values, ..)?,
                Values::Double(values) => written.put_values(values, ..)?,
            }
        }
        file.close()
    }

    /// The variable of this name.
    ///
    /// # Panics
    /// Where there is none.
    pub(crate) fn variable(&mut self, name: &str) -> &mut Variable {
        let found = self.variables.iter_mut().find(|variable| variable.name == name);
        found.unwrap_or_else(|| panic!("the sample has a variable {name}"))
    }

    /// Sets a global attribute.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<AttributeValue>) {
        set(&mut self.attributes, name, value.into());
    }
}

impl Variable {
    /// Whether it has an attribute.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(known, _)| known == name)
    }

    /// Sets an attribute.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<AttributeValue>) {
        set(&mut self.attributes, name, value.into());
    }

    /// Takes an attribute away.
    pub(crate) fn unset(&mut self, name: &str) {
        self.attributes.retain(|(known, _)| known != name);
    }
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Byte(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
        }
    }

    /// Takes the values away.
    pub(crate) fn clear(&mut self) {
        *self = self.rearranged(&[]);
    }

    /// Sets all values to one.
    pub(crate) fn fill(&mut self, value: f64) {
        match self {
            Self::Byte(values) => values.fill(value as i8),
            Self::Int(values) => values.fill(value as i32),
            Self::Float(values) => values.fill(value as f32),
            Self::Double(values) => values.fill(value),
        }
    }

    fn kind(&self) -> NcVariableType {
        match self {
            Self::Byte(_) => NcVariableType::Int(IntType::I8),
            Self::Int(_) => NcVariableType::Int(IntType::I32),
            Self::Float(_) => NcVariableType::Float(FloatType::F32),
            Self::Double(_) => NcVariableType::Float(FloatType::F64),
        }
    }

    /// Moves values about: the value at each place of the result comes from the place given in `from`.
    pub(crate) fn rearranged(&self, from: &[usize]) -> Self {
        match self {
            Self::Byte(values) => Self::Byte(from.iter().map(|place| values[*place]).collect()),
            Self::Int(values) => Self::Int(from.iter().map(|place| values[*place]).collect()),
            Self::Float(values) => Self::Float(from.iter().map(|place| values[*place]).collect()),
            Self::Double(values) => Self::Double(from.iter().map(|place| values[*place]).collect()),
        }
    }
}

fn set(attributes: &mut Vec<(String, AttributeValue)>, name: &str, value: AttributeValue) {
    match attributes.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => attributes.push((name.to_owned(), value)),
    }
}

fn read_values(variable: &netcdf::Variable<'_>) -> netcdf::Result<Values> {
    Ok(match variable.vartype() {
        NcVariableType::Int(IntType::I8) => Values::Byte(variable.get_values(..)?),
        NcVariableType::Int(IntType::I32) => Values::Int(variable.get_values(..)?),
        NcVariableType::Float(FloatType::F32) => Values::Float(variable.get_values(..)?),
        _ => Values::Double(variable.get_values(..)?),
    })
}
