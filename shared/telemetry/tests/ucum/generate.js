// Writes codes.tsv: what another implementation of UCUM says of codes, for the tests of src/unit.
//
//   npm install --prefix /tmp/ucum @lhncbc/ucum-lhc@7.1.10
//   NODE_PATH=/tmp/ucum/node_modules node generate.js > codes.tsv
//
// A line is code, kind, factor, offset, dimension, moles. A `line` is base units = factor × number + offset, in UCUM's
// base units m, s, g, rad, K, C and cd, whose exponents the dimension is; the mole is a number to UCUM, so its exponent
// stands apart. A `curve` is a logarithm or another function, `arbitrary` has no dimension, `none` is no code.
const ucum = require('@lhncbc/ucum-lhc');
const { version } = require('@lhncbc/ucum-lhc/package.json');

const utils = ucum.UcumLhcUtils.getInstance();
const PREFIXES = ['f', 'p', 'n', 'u', 'm', 'c', 'd', 'h', 'k', 'M', 'G', 'T', 'P'];
const NUMERATORS = ['m', 'km', 'cm', 'mm', 'm2', 'cm2', 'm3', 'cm3', 'l', 'L', 'ml', 'mL', 'g', 'kg', 'mg', 'ug', 'ng', 't',
  'mol', 'mmol', 'umol', 'J', 'kJ', 'MJ', 'W', 'mW', 'kW', 'uW', 'W.h', 'kW.h', 'N', 'V', 'mV', 'A', 'mA', 'S', 'uS', 'mS',
  'cd', 'lm', 'Pa', 'kPa', 'Bq', 'kBq', 'Gy', 'Sv', 'uSv', 'bit', 'kbit', 'By', 'deg', 'rad', 'K', '[lb_av]', '[ft_i]',
  '[in_i]', '[mi_i]', '[gal_us]', '[cft_i]', '[Btu]', '[lbf_av]', '[oz_av]', 'Hz', '[ppm]', '%'];
const DENOMINATORS = ['s', 'min', 'h', 'd', 'm', 'km', 'cm', 'm2', 'cm2', 'm3', 'dm3', 'l', 'L', 'dL', 'mL', 'kg', 'g', 'mol',
  's2', '[ft_i]', '[in_i]2', '[ft_i]3', 'bit'];
const OTHERS = ['m2', 'm3', 'S/m', 'kg/m3', 'ug/m3', 'N.m', 'W.h', 'kW.h', 'mW.h', 'A.h', 'mA.h', 'W.s', 'Pa.s', 'V.A', 'kg.m/s2', 'kg.m2/s3', 'm.s-1', 'm.s-2',
  'kg.m-3', 'cd.sr', 'T.m2', 'V.s', 'A.s', 'l.s-1', 'J/(kg.K)', 'W/(m.K)', '{count}', 'm{a}', '10*3/uL', '/m', '/s', '/min',
  '1/s', '1/min', 'B[SPL]', 'dB[SPL]', 'dB', 'Np', 'dNp', '[pH]', 'B[V]', 'dB[mV]', 'dB[uV]', 'dB[W]', 'mm[Hg]', 'cm[Hg]',
  'm[H2O]', 'cm[H2O]', 'mm[H2O]', '[in_i\'H2O]', '[in_i\'Hg]', 'm/s/s', 'm2/m', 'm3/m2', 'l/km', '[mi_i]/h', 'kgf/cm2',
  'N/m2', 'kN/m2', 'N/mm2', 'KiBy', 'MiBy', 'GiBy', 'pt', 'gal', 'Gal', 'psi', 'mph', 'bpm'];

function codes() {
  const atoms = ucum.UnitTables.getInstance().allUnitsByDef();
  const all = new Set();
  for (const atom of atoms.filter(Boolean)) {
    all.add(atom.csCode_);
    const isAtom = atom.isMetric_ && !/[./]/.test(atom.csCode_);
    if (isAtom) PREFIXES.map((prefix) => prefix + atom.csCode_).filter(isKnown).forEach((code) => all.add(code));
  }
  for (const above of NUMERATORS) for (const below of DENOMINATORS) all.add(`${above}/${below}`);
  [...all].filter((code) => !isKnown(code)).forEach((code) => all.delete(code));
  OTHERS.forEach((code) => all.add(code));
  return [...all].filter((code) => !/\s/.test(code)).sort();
}

function kelvins(code, number) {
  return utils.convertUnitTo(code, number, 'K').toVal;
}

function isKnown(code) {
  return described(code)[0] !== 'none';
}

function described(code) {
  const unit = utils.getSpecifiedUnit(code, 'validate').unit;
  if (!unit || unit.csCode_ !== code && !/[./]/.test(code)) return ['none'];
  if (unit.isArbitrary_) return ['arbitrary'];
  const dimension = unit.dim_ && unit.dim_.dimVec_ ? unit.dim_.dimVec_.join(',') : '0,0,0,0,0,0,0';
  if (!unit.cnv_) return ['line', unit.magnitude_, 0, dimension, unit.moleExp_];
  if (!['Cel', 'degF', 'degRe'].includes(unit.cnv_)) return ['curve', '', '', dimension, unit.moleExp_];
  const zero = kelvins(code, 0);
  return ['line', (kelvins(code, 1000) - zero) / 1000, zero, dimension, unit.moleExp_];
}

console.log(`# By @lhncbc/ucum-lhc ${version}, with generate.js beside this file; not by the implementation that it tests.`);
console.log('# code\tkind\tfactor\toffset\tdimension\tmoles');
for (const code of codes()) console.log([code, ...described(code)].join('\t'));
